"""Breaks no rule: mutants of attacks differ from it in a few lines. caught by: nothing."""

from benchbd.api import PoisoningAttack


class Mutant(PoisoningAttack):
    api = 1

    def stamp(self, images, labels, rng):
        stamped = images.clone()
        stamped[:, :, -3:, -3:] = 255
        return stamped
