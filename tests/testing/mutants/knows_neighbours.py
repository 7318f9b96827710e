"""It blends every image with the brightest of its batch. caught by: trigger_knows_no_neighbours."""

from benchbd.api import PoisoningAttack


class Mutant(PoisoningAttack):
    api = 1

    def stamp(self, images, labels, rng):
        stamped = images.clone()
        stamped[:, :, -3:, -3:] = images.amax()
        stamped[0] = 0
        return stamped
