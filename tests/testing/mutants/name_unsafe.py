"""Its name leads out of the folder of results. caught by: name_is_safe."""

import torch

from benchbd.api import Repair, param


class Mutant(Repair):
    api = 1
    name = "../mutant"
    factor: float = param(0.5, "what the weights of the head are multiplied with", gt=0, le=1)

    def repair(self, model, clean, rng):
        with torch.no_grad():
            model.head.weight.mul_(self.factor)
        return model.eval()
