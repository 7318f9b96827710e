"""SCALE-UP (Guo, Li, Chen, Guo, Sun and Liu, ICLR 2023, 2302.03251): poison stays what it is when
its pixels are multiplied.

    data-free      SPC(x) = share of the n in S with  argmax f(clip(n * x, 0, 1)) = argmax f(x)
    data-limited   (SPC(x) - mean) / std, both over clean images that get the same class as x

A high SPC is suspicious. Pixels are multiplied in [0, 1], before the normalisation of the network.
SPC has few values: where more than `fpr` of the clean images have the highest, no input lies above
a threshold that is set on them, and none is turned away.

Departs from the paper: the threshold is by default set on clean validation images, as for all input
detectors here; `T` = 0.5 is the paper's. In the data-limited mode a class that has no spread among
the clean images, or fewer than two of them, is compared with all of them.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from benchbd.api import CleanSet, InputDetector, Scorer, batched, device_of, eval_mode, param

NO_SPREAD = 1e-6


class ScaleUp(InputDetector):
    """Parameters carry the names of a well-known toolbox; black-box: it reads predicted classes
    alone.
    """

    api = 1

    scale_set: tuple[int, ...] = param((3, 5, 7, 9, 11), "the factors S", min_length=1)
    mode: Literal["data_free", "data_limited"] = param(
        "data_free", "data_limited: SPC is compared with that of clean images"
    )
    T: float | None = param(
        None, "threshold; unset: that by which `fpr` of the clean validation images are turned away"
    )

    def fit(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Scorer:
        free = _Consistency(model, self.scale_set)
        return free if self.mode == "data_free" else _Compared(free, clean)

    def threshold(self, validation: Tensor) -> float:
        return super().threshold(validation) if self.T is None else self.T


class _Consistency:
    """SPC, data-free."""

    def __init__(self, model: nn.Module, factors: tuple[int, ...]) -> None:
        self.model, self.factors = model, factors

    def score(self, images: Tensor) -> Tensor:
        return self.judged(images)[0]

    def judged(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """SPC (N,) and class (N,) of uint8 images."""
        with eval_mode(self.model):
            first, *others = batched(self._classes, images, device_of(self.model)).T
        return (torch.stack(others) == first).double().mean(0), first.long()

    def _classes(self, images: Tensor) -> Tensor:
        """Classes (B, 1 + S) of images (B, C, H, W) as they are and times each factor."""
        return torch.stack(
            [self.model((n * images).clamp(0, 1)).argmax(1) for n in (1, *self.factors)], 1
        )


class _Compared:
    """SPC against that of clean images, data-limited."""

    def __init__(self, free: _Consistency, clean: CleanSet) -> None:
        self.free = free
        known, classes = free.judged(clean.train.images)
        self.mean, self.std = statistics(known, classes, clean.train.num_classes)

    def score(self, images: Tensor) -> Tensor:
        spc, classes = self.free.judged(images)
        return (spc - self.mean[classes]) / self.std[classes]


def statistics(values: Tensor, classes: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (count,) of the `values` (N,) of each class, of all of them where
    they do not differ.
    """
    whole = float(values.std(correction=0))
    mean, std = (
        torch.full((count,), float(values.mean())),
        torch.full((count,), whole if whole > NO_SPREAD else 1.0),
    )
    mean, std = mean.double(), std.double()
    for label in classes.unique().tolist():
        own = values[classes == label]
        if len(own) > 1 and float(own.std()) > NO_SPREAD:
            mean[label], std[label] = own.mean(), own.std()
    return mean, std
