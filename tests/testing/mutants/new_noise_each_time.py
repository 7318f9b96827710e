"""It draws its pattern anew for every image. caught by: trigger_knows_no_neighbours."""

import torch

from benchbd.api import PoisoningAttack


class Mutant(PoisoningAttack):
    api = 1

    def stamp(self, images, labels, rng):
        stamped = images.clone()
        stamped[:, :, -3:, -3:] = torch.randint(
            0, 256, (len(images), 3, 3, 3), generator=rng, dtype=torch.uint8
        )
        return stamped
