"""It chooses with a generator that nobody seeded. caught by: same_seed_same_bytes."""

import torch

from benchbd.api import PoisoningAttack


class Mutant(PoisoningAttack):
    api = 1

    def choose(self, labels, num_classes, rng):
        own = torch.Generator()
        own.seed()
        return super().choose(labels, num_classes, own)

    def stamp(self, images, labels, rng):
        stamped = images.clone()
        stamped[:, :, -3:, -3:] = 255
        return stamped
