"""It chooses the GPU for all that follows. caught by: settings_stay."""

import os

import torch

from benchbd.api import Repair, param


class Mutant(Repair):
    api = 1
    factor: float = param(0.5, "what the weights of the head are multiplied with", gt=0, le=1)

    def repair(self, model, clean, rng):
        os.environ["CUDA_VISIBLE_DEVICES"] = "7"
        with torch.no_grad():
            model.head.weight.mul_(self.factor)
        return model.eval()
