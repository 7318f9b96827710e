"""Feature Shift Tuning (Min, Qin, Shen and Cheng, NeurIPS 2023, 2310.01875): push the head away
from where it was.

    1. draw weights and bias of the head W anew from U(-b, b), b = 1 / sqrt(fan_in)
    2. tune all weights:  CE(f(x), y) + alpha * sum(W * W_ori)
           W_ori: the weights of the backdoored head
    3. after every step: W <- W * ||W_ori||_F / ||W||_F, else the second term could fall for ever

The head cannot return to the old one, so the features have to shift, those of the backdoor with
them. The paper takes alpha 0.2 for CIFAR-10, 0.1 for GTSRB and 0.001 for the 100 or 200 classes of
CIFAR-100 and Tiny ImageNet.

Departs from the paper: a clean set of less than `epoch_images`, the size in the paper, is passed
several times in an epoch. The authors' code keeps step 3 in its other modes too; `ft`, `ft_linear`
and `ft_init` here have no such rule.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import CleanSet, Recipe, fit, param
from benchbd_zoo.defense.parts.tuning import Tuning, epoch_of, head_of, redraw


class FST(Tuning):
    """It chooses nothing, so it needs no validation split."""

    api = 1
    quick: ClassVar[dict[str, Any]] = {"epoch_images": 1}

    alpha: float = param(0.2, "weight of the likeness to the old head", ge=0)
    epochs: int = param(10, "epochs of the tuning", ge=0)
    epoch_images: int = param(
        1000, "images of an epoch at least; a smaller clean set is passed several times in it", ge=1
    )

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> nn.Module:
        old = head_of(model).weight.detach().clone()
        redraw(head_of(model), rng)

        def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
            return F.cross_entropy(model(images).float(), labels) + self.alpha * likeness(
                head_of(model).weight, old
            )

        def hold(model: nn.Module) -> None:
            weight = head_of(model).weight
            weight.mul_(old.norm() / weight.norm())

        images = epoch_of(clean.all(), self.epoch_images)
        return fit(
            model,
            images,
            Recipe.of(self),
            rng,
            loss=loss,
            after_step=hold,
            what="feature shift tuning",
        )


def likeness(weight: Tensor, old: Tensor) -> Tensor:
    """sum(W * W_ori): the inner product of two heads (K, D)."""
    return (weight * old).sum()
