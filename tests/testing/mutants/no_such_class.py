"""It aims at a class that does not exist. caught by: attacked_labels_are_classes."""

from benchbd.api import PoisoningAttack


class Mutant(PoisoningAttack):
    api = 1

    def attacked_labels(self, labels, num_classes):
        return labels + 1

    def stamp(self, images, labels, rng):
        stamped = images.clone()
        stamped[:, :, -3:, -3:] = 255
        return stamped
