"""It leaves its model in training mode. caught by: trained_in_eval_mode."""

from benchbd.api import TrainingControlledAttack, fit


class Mutant(TrainingControlledAttack):
    api = 1

    def train(self, model, clean_train, recipe, rng):
        return fit(model, clean_train, recipe, rng).train()

    def stamp(self, images, labels, rng):
        return images.clamp(max=99)
