"""It stamps the images that it was handed. caught by: inputs_stay."""

from benchbd.api import PoisoningAttack


class Mutant(PoisoningAttack):
    api = 1

    def stamp(self, images, labels, rng):
        stamped = images
        stamped[:, :, -3:, -3:] = 255
        return stamped
