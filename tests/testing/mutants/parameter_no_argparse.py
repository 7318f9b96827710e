"""Its argument parser forgets its defaults. caught by: parameters_survive_argparse."""

import torch

from benchbd.api import Repair, param


class Mutant(Repair):
    api = 1
    factor: float = param(0.5, "what the weights of the head are multiplied with", gt=0, le=1)

    @classmethod
    def add_arguments(cls, parser):
        parser = super().add_arguments(parser)
        parser.set_defaults(factor=0.125)
        return parser

    def repair(self, model, clean, rng):
        with torch.no_grad():
            model.head.weight.mul_(self.factor)
        return model.eval()
