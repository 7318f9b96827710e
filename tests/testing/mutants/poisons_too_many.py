"""It poisons one sample more than its ratio says. caught by: poisons_the_exact_number."""

from benchbd.api import PoisoningAttack


class Mutant(PoisoningAttack):
    api = 1

    def choose(self, labels, num_classes, rng):
        poisoned, cover = self.model_copy(
            update={"poison_ratio": self.poison_ratio + 0.005}
        ).base_choice(labels, num_classes, rng)
        return poisoned, cover

    def base_choice(self, labels, num_classes, rng):
        return super().choose(labels, num_classes, rng)

    def stamp(self, images, labels, rng):
        stamped = images.clone()
        stamped[:, :, -3:, -3:] = 255
        return stamped
