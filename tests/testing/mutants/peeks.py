"""It looks at the triggered images. caught by: sees_no_oracle."""

import torch

from benchbd.api import Repair, param


class Mutant(Repair):
    api = 1
    factor: float = param(0.5, "what the weights of the head are multiplied with", gt=0, le=1)

    def respond(self, case):
        len(case.attack.triggered.images)
        return super().respond(case)

    def repair(self, model, clean, rng):
        with torch.no_grad():
            model.head.weight.mul_(self.factor)
        return model.eval()
