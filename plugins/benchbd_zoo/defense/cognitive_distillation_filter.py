"""Cognitive Distillation of a training set (Huang, Ma, Erfani and Bailey, ICLR 2023, 2301.10908).

    1. the mask m of every training sample, as cognitive_distillation finds that of an input
    2. with the mean and the standard deviation of ||m||_1 over clean validation images, samples for
       which (mean - ||m||_1) / std > t are removed

Suspicion is -||m||_1. Departs from the paper: in what is said of cognitive_distillation, and in
nothing else.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from benchbd.api import param
from benchbd_zoo.defense.cognitive_distillation import Distilling
from benchbd_zoo.defense.parts.sample_filter import SampleFilter


class CognitiveDistillationFilter(Distilling, SampleFilter):
    """With its defaults, 100 passes and gradients for every sample; `t` sets the threshold instead
    of `fpr` where it is given.
    """

    api = 1
    quick: ClassVar[dict[str, Any]] = {"num_steps": 60}

    t: float | None = param(
        1.0,
        "deviations below the mean of clean samples from which on a mask is suspicious; none: by "
        "fpr",
    )

    def threshold(self, validation: Tensor) -> float:
        if self.t is None:
            return super().threshold(validation)
        return float(validation.double().mean() + self.t * validation.double().std(correction=0))
