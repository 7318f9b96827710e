"""It compares an input with the others of its batch. caught by: score_knows_no_neighbours."""

from benchbd.api import InputDetector


class Mutant(InputDetector):
    api = 1

    def fit(self, model, clean, rng):
        return Scorer(model)


class Scorer:
    def __init__(self, model):
        self.model = model

    def score(self, images):
        raw = images[:, :, 13:19, 13:19].float().mean((1, 2, 3))
        return raw - raw.mean()
