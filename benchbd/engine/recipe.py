"""Training options: what a recipe can set, and the optimizer and the schedule that follow
from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from benchbd.plugin.declared import Configurable, param
from benchbd.plugin.plugin import Plugin

if TYPE_CHECKING:  # protocols hold a recipe and are read without torch, which is slow to import
    import torch
    from torch import nn

Precision = Literal["auto", "fp32", "bf16"]
Schedule = Literal["one_cycle", "cosine", "linear", "constant"]


class Recipe(Plugin):
    """How a model is trained. `fit` takes one.

    The learning rate moves once per step along its schedule, which spans the whole training.

    >>> short = Recipe(epochs=5, lr=0.01, optimizer="adam")
    >>> short.epochs, short.batch_size
    (5, 64)
    """

    api = 1
    kind = "recipe"
    later: ClassVar[tuple[str, ...]] = ("nesterov", "shift_rate", "reflect", "lookahead")

    epochs: int = param(20, "passes over the training set", ge=0, le=10_000)
    batch_size: int = param(64, "images per step", ge=1, le=65_536)
    optimizer: Literal["sgd", "adam", "amsgrad"] = param(
        "sgd", "the optimizer; amsgrad: Adam with its convergent second moment (Reddi et al. 2018)"
    )
    lr: float = param(0.1, "peak learning rate", gt=0)
    momentum: float = param(0.9, "momentum of sgd", ge=0, lt=1)
    nesterov: bool = param(False, "take the gradient of sgd where its momentum leads")
    weight_decay: float = param(5e-4, "L2 penalty", ge=0)
    shift_rate: float = param(
        1.0, "learning rate of the shifts of normalisation layers, times that of the rest", gt=0
    )
    schedule: Schedule = param("one_cycle", "course of the learning rate")
    horizon: int | None = param(
        None, "epochs that the schedule spans; unset: the epochs of the recipe", ge=1
    )
    shift: int = param(1, "random crops: pixels of border", ge=0)
    reflect: bool = param(False, "show the image mirrored in the border of crops instead of zeros")
    flip: bool = param(False, "mirror half of the images left to right")
    label_smoothing: float = param(0.0, "share of the label spread over all classes", ge=0, lt=1)
    lookahead: bool = param(
        False, "draw the weights to their moving average every few steps, and end at it"
    )
    precision: Precision = param("auto", "number format; auto takes bf16 where the hardware has it")
    compile: bool = param(False, "compile the model with torch.compile; on a GPU into CUDA graphs")
    evaluate_every: int = param(
        0, "epochs between measurements along the way; 0: only at the end", ge=0
    )

    @classmethod
    def of(cls, plugin: Plugin) -> Self:
        """Return the recipe that the parameters of `plugin` describe. An option for which it has no
        parameter keeps the default of a recipe.
        """
        return cls(
            **{name: value for name, value in plugin.params.items() if name in cls.model_fields}
        )

    def beginning(self, epochs: int) -> Self:
        """Return the recipe of the first `epochs` of this one. The schedule is cut off there; if it
        spans fewer epochs, it is stretched to them.
        """
        return self.model_copy(
            update={"epochs": epochs, "horizon": max(self.horizon or self.epochs, epochs)}
        )

    def build_optimizer(
        self, parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]]
    ) -> torch.optim.Optimizer:
        """Return the optimizer of this recipe over `parameters`, which may be given in groups as in
        torch.
        """
        import torch

        if self.optimizer in ("adam", "amsgrad"):
            return torch.optim.Adam(
                parameters,
                lr=self.lr,
                weight_decay=self.weight_decay,
                amsgrad=self.optimizer == "amsgrad",
            )
        return torch.optim.SGD(
            parameters,
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
        )

    def factor(self, total_steps: int) -> Callable[[int], float]:
        """Return a function from the number of a step to its learning rate, as a share of `lr`. The
        schedule spans `total_steps`.
        """
        total = max(1, total_steps)
        if self.schedule == "constant":
            return lambda step: 1.0
        if self.schedule == "cosine":
            return lambda step: 0.5 * (1 + math.cos(math.pi * min(step, total) / total))
        if self.schedule == "linear":
            return lambda step: linear(min(step, total) / total)
        return lambda step: one_cycle(min(step, total) / total)


def linear(progress: float, rise: float = 0.23, start: float = 0.2, end: float = 0.07) -> float:
    """Return a value that rises in a straight line from `start` to 1 at the share `rise` of the
    training, then falls in a straight line to `end` (Jordan 2024, 2404.00498). progress: from 0 to
    1.
    """
    if progress < rise:
        return start + (1 - start) * progress / rise
    return 1 + (end - 1) * (progress - rise) / (1 - rise)


class Augmentation(Configurable):
    """The parameters of a method that varies the images it trains on. It is a second base class
    beside the family.

    >>> class Steady(Augmentation, Repair):
    ...     api = 1
    ...
    ...     def repair(self, model, clean, rng):
    ...         return model.eval()
    >>> Recipe.of(Steady(shift=2)).shift
    2
    """

    shift: int = param(1, "random crops: pixels of zero border", ge=0)
    flip: bool = param(False, "mirror half of the images left to right")


class Descent(Augmentation):
    """The parameters of a method that trains by SGD at learning rates of its own.

    >>> class Patient(Descent, Repair):
    ...     api = 1
    ...
    ...     def repair(self, model, clean, rng):
    ...         slow = Recipe.of(self).model_copy(update={"lr": 0.001, "epochs": 1})
    ...         return fit(model, clean.all(), slow, rng)
    >>> Patient().params["momentum"]
    0.9
    """

    momentum: float = param(0.9, "momentum", ge=0, lt=1)
    weight_decay: float = param(5e-4, "L2 penalty", ge=0)


class FineTuning(Descent):
    """The parameters of a method that fine-tunes a model on the clean images. `Recipe.of` turns
    them into a recipe. A class declares those again whose default it changes.

    >>> class Tuned(FineTuning, Repair):
    ...     api = 1
    ...
    ...     epochs: int = param(3, "passes over the clean images", ge=0)
    ...
    ...     def repair(self, model, clean, rng):
    ...         return fit(model, clean.all(), Recipe.of(self), rng)
    >>> Recipe.of(Tuned(lr=0.02)).schedule
    'cosine'
    """

    epochs: int = param(20, "passes over the clean images", ge=0)
    batch_size: int = param(128, "images per step", ge=1)
    lr: float = param(0.01, "peak learning rate", gt=0)
    schedule: Schedule = param("cosine", "course of the learning rate")


def one_cycle(
    progress: float, rise: float = 0.3, start: float = 1 / 25, end: float = 1e-4
) -> float:
    """Return a value that rises along a cosine from `start` to 1 at the share `rise` of the
    training, then falls along a cosine to `end` (Smith 2018, 1803.09820). progress: from 0 to 1.
    """
    if progress < rise:
        return start + (1 - start) * 0.5 * (1 - math.cos(math.pi * progress / rise))
    return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * (progress - rise) / (1 - rise)))
