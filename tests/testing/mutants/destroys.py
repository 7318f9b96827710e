"""It destroys every model. caught by: clean_model_survives."""

import torch

from benchbd.api import Repair, param


class Mutant(Repair):
    api = 1
    factor: float = param(0.5, "what the weights of the head are multiplied with", gt=0, le=1)

    def repair(self, model, clean, rng):
        with torch.no_grad():
            model.head.weight.mul_(0)
        return model.eval()
