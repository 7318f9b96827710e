"""It draws where the model lies, with the generator of the CPU that it was handed. caught by:
another_device_works.
"""

import torch

from benchbd.api import Repair, param


class Mutant(Repair):
    api = 1
    size: float = param(
        0.01, "standard deviation of the noise on the weights of the head", gt=0, le=1
    )

    def repair(self, model, clean, rng):
        weight = model.head.weight
        with torch.no_grad():
            weight.add_(
                torch.randn(weight.shape, generator=rng, device=weight.device), alpha=self.size
            )
        return model.eval()
