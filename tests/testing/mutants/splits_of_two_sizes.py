"""Its test images have another size. caught by: splits_agree."""

import torch

from benchbd.api import DataSet, ImageSet


class Mutant(DataSet):
    api = 1

    def load(self, split):
        rng = torch.Generator().manual_seed(int(split == "train"))
        images = torch.randint(
            0, 256, (20, 3, 8, 8 + (split == "test")), generator=rng, dtype=torch.uint8
        )
        return ImageSet(images, torch.arange(20) % 2, ("ant", "bee"))
