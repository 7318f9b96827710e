"""Linear probe: train the classifier head on clean images and leave the features as they are.

A control: where the backdoor sits in the features, and it usually does, a new hyperplane over them
changes little (Min et al., NeurIPS 2023, 2310.01875, compare it with the other ways of tuning).

    1. freeze all that is not the head; normalisation keeps its running statistics
    2. descend the cross-entropy over the weights and bias of the head

Departs from the authors' code, which normalises features by the batch, so that running statistics
move, and rescales the head to its old norm after every step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import CleanSet, Recipe, eval_mode, fit
from benchbd_zoo.defense.parts.tuning import Tuning, head_of


class FTLinear(Tuning):
    """Also known as LP; the head starts from the weights that it has."""

    api = 1
    results_version = 2

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> nn.Module:
        with _learning(model, head_of(model)):
            return fit(
                model,
                clean.all(),
                Recipe.of(self),
                rng,
                loss=_over_fixed_features,
                what="linear probe",
            )


def _over_fixed_features(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    with eval_mode(model):
        return F.cross_entropy(model(images).float(), labels)


@contextmanager
def _learning(model: nn.Module, part: nn.Module) -> Iterator[None]:
    """Inside, only the parameters of `part` learn; after, those that did before."""
    own = {id(parameter) for parameter in part.parameters()}
    frozen = [p for p in model.parameters() if p.requires_grad and id(p) not in own]
    for parameter in frozen:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)
