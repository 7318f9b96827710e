"""Breaks no rule: what is not a number is the same in every run. caught by: nothing."""

import torch

from benchbd.api import Repair, Repaired, param


class Mutant(Repair):
    api = 1
    factor: float = param(0.5, "what the weights of the head are multiplied with", gt=0, le=1)

    def repair(self, model, clean, rng):
        with torch.no_grad():
            model.head.weight.mul_(self.factor)
        return Repaired(model.eval(), tensors={"ratios": torch.zeros(3) / 0})
