"""It cuts the images off. caught by: stamp_keeps_shape_and_scale."""

from benchbd.api import PoisoningAttack


class Mutant(PoisoningAttack):
    api = 1

    def stamp(self, images, labels, rng):
        stamped = images.clone()
        stamped[:, :, -3:, -3:] = 255
        return stamped[:, :, 1:]
