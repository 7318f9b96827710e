"""It takes all clean data. caught by: clean_samples_within_budget."""

import torch

from benchbd.api import Repair, param


class Mutant(Repair):
    api = 1
    factor: float = param(0.5, "what the weights of the head are multiplied with", gt=0, le=1)

    def clean_data(self, case):
        return case.clean(1.0, None)

    def repair(self, model, clean, rng):
        with torch.no_grad():
            model.head.weight.mul_(self.factor)
        return model.eval()
