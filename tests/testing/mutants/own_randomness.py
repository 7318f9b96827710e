"""It draws from a generator of its own that nobody seeded. caught by: rerun_is_identical."""

import torch

from benchbd.api import Repair, param


class Mutant(Repair):
    api = 1
    factor: float = param(0.5, "what the weights of the head are multiplied with", gt=0, le=1)

    def repair(self, model, clean, rng):
        own = torch.Generator()
        own.seed()
        with torch.no_grad():
            model.head.bias.add_(torch.randn(model.head.bias.shape, generator=own))
        with torch.no_grad():
            model.head.weight.mul_(self.factor)
        return model.eval()
