"""It calls itself clean-label and changes labels. caught by: labels_follow_the_map."""

from benchbd.api import PoisoningAttack


class Mutant(PoisoningAttack):
    api = 1

    clean_label = True

    def poison(self, clean, rng):
        poisoned = super().poison(clean, rng)
        poisoned.labels.fill_(self.target)
        return poisoned

    def stamp(self, images, labels, rng):
        stamped = images.clone()
        stamped[:, :, -3:, -3:] = 255
        return stamped
