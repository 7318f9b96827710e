"""Anti-Backdoor Learning (Li, Lyu, Koren, Lyu, Li and Ma, NeurIPS 2021, 2110.11571).

A backdoor is learned faster than the task. Let every loss down to a floor only, and what lies
lowest is poison.

    1. train `tuning_epochs` with L = CE held at the floor gamma:
       LGA         sign(L - gamma) * L       local gradient ascent
       Flooding    |L - b| + b
    2. isolate the share `isolation_ratio` of the training images with the lowest CE
    3. train on the others                   (`finetuning_epochs`)
    4. ascend the CE of the isolated ones    (`unlearning_epochs`, `lr_unlearning_init`)

The two ways of step 1 differ in the value of the loss alone: with gamma = b their gradients are the
same. `isolation_ratio` is how many samples are held to be poison, not how many are. Suspicion is
minus the loss of step 2.

Departs from the paper: the loss is held on the mean of a batch, as the authors' code has it; the
formula of the paper, `cap="sample"`, holds every sample for itself. Steps 1 and 3 are trained by
the recipe: its optimizer, batches, crops and schedule, of which step 1 is the beginning, so that a
rate which the recipe warms up to is not met at once. Step 4 takes the images as they are, for a
crop may cut the trigger away, in batches of 64, both as in the authors' code; isolated images fewer
than the 500 of its 50,000 pass several times in an epoch, so that an epoch has as many steps. All
five epochs ascend, where the first one of that code only tests. Step 3 takes 60 epochs of every 100
of the recipe; the paper has 60, at a rate of 0.1 and the last 20 at 0.01, and 0.1 in step 1.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import (
    BuildModel,
    ImageSet,
    Learned,
    Recipe,
    RobustTraining,
    Suspicion,
    fit,
    logits,
    param,
)
from benchbd_zoo.defense.parts.isolation import ascent, boundary, lowest
from benchbd_zoo.defense.parts.tuning import epoch_of

SHARE = 0.6
"""Epochs of step 3 in those of a recipe: 60 of 100."""


class ABL(RobustTraining):
    """Parameters carry the names of the reference implementation."""

    api = 1
    results_version = 3
    quick: ClassVar[dict[str, Any]] = {"epoch_images": 1}

    gradient_ascent_type: Literal["LGA", "Flooding"] = param(
        "LGA", "how the loss is held at the floor"
    )
    cap: Literal["batch", "sample"] = param(
        "batch", "what is held: the mean of a batch, or every sample for itself"
    )
    gamma: float = param(0.5, "the floor of LGA", ge=0)
    flooding: float = param(0.5, "the floor b of flooding", ge=0)
    tuning_epochs: int = param(10, "epochs before samples are isolated", ge=1)
    lr_tuning_init: float | None = param(
        None, "highest learning rate of the course that they begin; unset: the recipe's", gt=0
    )
    isolation_ratio: float = param(
        0.01, "share of the training set that is held to be poison", gt=0, lt=1
    )
    finetuning_epochs: int | None = param(
        None, "epochs without the isolated samples; unset: 60 of every 100 of the recipe", ge=0
    )
    unlearning_epochs: int = param(5, "epochs of ascent on the isolated samples", ge=0)
    lr_unlearning_init: float = param(5e-4, "learning rate of the ascent", gt=0)
    unlearning_batch_size: int = param(64, "images per step of the ascent", ge=1)
    epoch_images: int = param(
        50_000,
        "training images in the paper; the isolated share of fewer passes several times in an "
        "epoch of ascent",
        ge=1,
    )

    def train(
        self, build_model: BuildModel, train_as_seen: ImageSet, recipe: Recipe, rng: torch.Generator
    ) -> Learned:
        model = fit(
            build_model(),
            train_as_seen,
            self._tuning(recipe),
            rng,
            loss=self.held,
            what="ABL: tuning",
        )
        losses = sample_losses(model, train_as_seen)
        isolated = lowest(losses, self.isolation_ratio)
        others = torch.nonzero(~isolated)[:, 0]
        fit(
            model,
            train_as_seen.subset(others),
            self._finetuning(recipe),
            rng,
            what="ABL: training without the isolated",
        )
        poison = epoch_of(
            train_as_seen.subset(torch.nonzero(isolated)[:, 0]),
            round(self.isolation_ratio * self.epoch_images),
        )
        fit(model, poison, self._unlearning(recipe), rng, loss=ascent, what="ABL: unlearning")
        return Learned(
            model,
            Suspicion(-losses, boundary(-losses, isolated)),
            {"mean loss of all": float(losses.mean())},
        )

    def held(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """The loss of step 1."""
        losses = F.cross_entropy(model(images).float(), labels, reduction="none")
        value = losses.mean() if self.cap == "batch" else losses
        if self.gradient_ascent_type == "LGA":
            return ((value - self.gamma).sign().detach() * value).mean()
        return ((value - self.flooding).abs() + self.flooding).mean()

    def _tuning(self, recipe: Recipe) -> Recipe:
        return recipe.beginning(self.tuning_epochs).model_copy(
            update={"lr": self.lr_tuning_init or recipe.lr}
        )

    def _finetuning(self, recipe: Recipe) -> Recipe:
        epochs = (
            round(SHARE * recipe.epochs)
            if self.finetuning_epochs is None
            else self.finetuning_epochs
        )
        return recipe.model_copy(update={"epochs": epochs, "horizon": None})

    def _unlearning(self, recipe: Recipe) -> Recipe:
        options = {
            "epochs": self.unlearning_epochs,
            "lr": self.lr_unlearning_init,
            "schedule": "constant",
            "horizon": None,
            "batch_size": self.unlearning_batch_size,
        }
        return recipe.model_copy(update=options | {"shift": 0, "flip": False})


def sample_losses(model: nn.Module, train: ImageSet) -> Tensor:
    """CE (N,) of every training image as it is, in order."""
    scores = logits(
        model, train.images, precision="fp32"
    ).double()  # in bf16 many of them would be equal
    return F.cross_entropy(scores, train.labels.cpu(), reduction="none")
