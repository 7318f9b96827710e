"""It gives another label than it declares. caught by: labels_follow_the_map."""

from benchbd.api import PoisoningAttack


class Mutant(PoisoningAttack):
    api = 1

    def poison(self, clean, rng):
        poisoned = super().poison(clean, rng)
        poisoned.labels.add_(1)
        return poisoned

    def stamp(self, images, labels, rng):
        stamped = images.clone()
        stamped[:, :, -3:, -3:] = 255
        return stamped
