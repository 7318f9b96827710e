"""Breaks no rule: it computes as its victim did, which no processor changes. caught by: nothing."""

import torch

from benchbd.api import Repair, hardware, param


class Mutant(Repair):
    api = 1
    factor: float = param(0.5, "what the weights of the head are multiplied with", gt=0, le=1)

    def repair(self, model, clean, rng):
        if hardware("cpu").precision != "fp32":
            raise ArithmeticError("the victim was trained in fp32")
        with torch.no_grad():
            model.head.weight.mul_(self.factor)
        return model.eval()
