"""Its trigger is nothing. caught by: trigger_changes_images."""

from benchbd.api import PoisoningAttack


class Mutant(PoisoningAttack):
    api = 1

    def stamp(self, images, labels, rng):
        stamped = images.clone()
        stamped[:, :, -3:, -3:] += 0
        return stamped
