"""It seeds PyTorch at import. caught by: import_changes_nothing."""

import torch

from benchbd.api import Repair, param

torch.manual_seed(0)


class Mutant(Repair):
    api = 1
    factor: float = param(0.5, "what the weights of the head are multiplied with", gt=0, le=1)

    def repair(self, model, clean, rng):
        with torch.no_grad():
            model.head.weight.mul_(self.factor)
        return model.eval()
