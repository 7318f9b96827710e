"""It applies to networks without BatchNorm alone, and changes their images. caught by:
inputs_stay.
"""

import torch
from torch import nn

from benchbd.api import NotApplicable, Repair, param


class Mutant(Repair):
    api = 1
    factor: float = param(0.5, "what the weights of the head are multiplied with", gt=0, le=1)

    def repair(self, model, clean, rng):
        if any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
            raise NotApplicable("it is made for networks without BatchNorm")
        clean.train.images.zero_()
        with torch.no_grad():
            model.head.weight.mul_(self.factor)
        return model.eval()
