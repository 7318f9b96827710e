"""It says that it holds no data, and takes a budget. caught by: clean_samples_within_budget."""

import torch

from benchbd.api import ModelDetector, Verdict


class Mutant(ModelDetector):
    api = 1
    holds_data = False

    def clean_data(self, case):
        return case.clean(self.ratio, self.index)

    def inspect(self, model, clean, rng):
        scores = torch.zeros(clean.train.num_classes)
        return Verdict(scores, scores > 1)
