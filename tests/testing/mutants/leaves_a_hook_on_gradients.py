"""It leaves a hook on the gradients of the model that it judges. caught by: handed_model_stays."""

from benchbd.api import InputDetector


class Mutant(InputDetector):
    api = 1

    def fit(self, model, clean, rng):
        model.head.register_full_backward_pre_hook(lambda *_: None)
        return Scorer(model)


class Scorer:
    def __init__(self, model):
        self.model = model

    def score(self, images):
        return images[:, :, 13:19, 13:19].float().mean((1, 2, 3))
