"""It scores four classes and flags one. caught by: answers_with_its_type."""

import torch

from benchbd.api import ModelDetector, Verdict


class Mutant(ModelDetector):
    api = 1

    def inspect(self, model, clean, rng):
        return Verdict(torch.zeros(clean.train.num_classes), torch.zeros(1, dtype=torch.bool))
