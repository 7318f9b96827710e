"""It says that it leaves its poisoned set, and keeps it. caught by: hands_back_its_poisoned_set."""

from benchbd.api import TrainingControlledAttack, fit


class Mutant(TrainingControlledAttack):
    api = 1
    leaves_poisoned_set = True

    def train(self, model, clean_train, recipe, rng):
        return fit(model, clean_train, recipe, rng)

    def stamp(self, images, labels, rng):
        return images.clamp(max=99)
