"""Its parameter is rounded on the way to JSON. caught by: parameters_survive_json."""

import torch
from pydantic import field_serializer

from benchbd.api import Repair, param


class Mutant(Repair):
    api = 1
    factor: float = param(0.25, "what the weights of the head are multiplied with", gt=0, le=1)

    @field_serializer("factor")
    def rounded(self, factor):
        return round(factor, 1)

    def repair(self, model, clean, rng):
        with torch.no_grad():
            model.head.weight.mul_(self.factor)
        return model.eval()
