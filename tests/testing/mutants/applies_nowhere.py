"""It says of every model that it does not apply. caught by: runs."""

import torch

from benchbd.api import NotApplicable, Repair, param


class Mutant(Repair):
    api = 1
    factor: float = param(0.5, "what the weights of the head are multiplied with", gt=0, le=1)

    def repair(self, model, clean, rng):
        raise NotApplicable("the network is none of mine")
        with torch.no_grad():
            model.head.weight.mul_(self.factor)
        return model.eval()
