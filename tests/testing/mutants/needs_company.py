"""It cannot judge an input that comes alone. caught by: single_inputs_work."""

from benchbd.api import InputDetector


class Mutant(InputDetector):
    api = 1

    def fit(self, model, clean, rng):
        return Scorer(model)


class Scorer:
    def __init__(self, model):
        self.model = model

    def score(self, images):
        if len(images) < 2:
            raise ValueError("too few")
        return images[:, :, 13:19, 13:19].float().mean((1, 2, 3))
