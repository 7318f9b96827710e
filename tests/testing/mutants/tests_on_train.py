"""Its test split is its training split. caught by: test_is_not_train."""

import torch

from benchbd.api import DataSet, ImageSet


class Mutant(DataSet):
    api = 1

    def load(self, split):
        rng = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (20, 3, 8, 8), generator=rng, dtype=torch.uint8)
        return ImageSet(images, torch.arange(20) % 2, ("ant", "bee"))
