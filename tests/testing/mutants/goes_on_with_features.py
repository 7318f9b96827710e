"""It goes on without features whatever happens. caught by: stops_when_told."""

import torch

from benchbd.api import Repair, features, param


class Mutant(Repair):
    api = 1
    factor: float = param(0.5, "what the weights of the head are multiplied with", gt=0, le=1)

    def repair(self, model, clean, rng):
        for _ in range(9):
            try:
                features(model, clean.train.images)
            except BaseException:
                pass
        with torch.no_grad():
            model.head.weight.mul_(self.factor)
        return model.eval()
