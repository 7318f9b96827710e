"""It cannot do with batches of a single image. caught by: batch_size_1_works."""

import torch

from benchbd.api import Repair, param


class Mutant(Repair):
    api = 1
    factor: float = param(0.5, "what the weights of the head are multiplied with", gt=0, le=1)

    batch_size: int = param(8, "images per step", ge=1)

    def repair(self, model, clean, rng):
        if self.batch_size < 2:
            raise ValueError("too few")
        with torch.no_grad():
            model.head.weight.mul_(self.factor)
        return model.eval()
