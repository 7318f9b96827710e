"""It leaves one layer of the model that it judges in training mode. caught by:
handed_model_stays.
"""

from benchbd.api import InputDetector


class Mutant(InputDetector):
    api = 1

    def fit(self, model, clean, rng):
        model.head.train()
        return Scorer(model)


class Scorer:
    def __init__(self, model):
        self.model = model

    def score(self, images):
        return images[:, :, 13:19, 13:19].float().mean((1, 2, 3))
