"""It states no api number. caught by: contract_is_kept."""

import torch

from benchbd.api import Repair, param


class Mutant(Repair):
    factor: float = param(0.5, "what the weights of the head are multiplied with", gt=0, le=1)

    def repair(self, model, clean, rng):
        with torch.no_grad():
            model.head.weight.mul_(self.factor)
        return model.eval()
