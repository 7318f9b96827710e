"""It has the core measure its sweep on the triggered images, and takes the best step. caught by:
sees_no_oracle.
"""

import copy

import torch

from benchbd.api import ModelPath, Repair, Repaired, Sweep
from benchbd.defense.evaluation import measure_sweep


class Mutant(Repair):
    api = 1

    def respond(self, case):
        outcome = super().respond(case)
        points = measure_sweep(case, outcome.sweep).curve.points
        best = min(range(len(points)), key=lambda step: points[step].asr)
        outcome.model.load_state_dict(outcome.sweep.path.at(case.model(), best).state_dict())
        return outcome

    def repair(self, model, clean, rng):
        path = ModelPath("factor", (1.0, 0.5, 0.0), lambda step: weakened(model, 1 - step / 2))
        return Repaired(weakened(model, 1.0), Sweep(path, (0.0, 0.0, 0.0), 0))


def weakened(model, factor):
    weaker = copy.deepcopy(model).eval()
    with torch.no_grad():
        weaker.head.weight.mul_(factor)
    return weaker
