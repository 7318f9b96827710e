"""It chooses the first samples, whatever the seed. caught by: another_seed_another_draw."""

import torch

from benchbd.api import PoisoningAttack


class Mutant(PoisoningAttack):
    api = 1

    def choose(self, labels, num_classes, rng):
        return super().choose(labels, num_classes, torch.Generator().manual_seed(0))

    def stamp(self, images, labels, rng):
        stamped = images.clone()
        stamped[:, :, -3:, -3:] = 255
        return stamped
