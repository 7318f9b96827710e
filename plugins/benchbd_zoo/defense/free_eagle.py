"""FreeEagle (Fu, Zhang, Ji, Wang, Lin, Feng and Yin, USENIX Security 2023, 2302.14500): what stands
for other classes inside of a network leans towards the target of a backdoor.

    1. cut the network after an early stage into g and h, so that f = h(g(x))
    2. for every class k find values of the cut  e_k = argmin CE(h(e), k)  by Adam with a decay,
       from uniform noise, at least 0 where a ReLU stands before the cut; the mean of `num_dummy`
       of them
    3. S[k, j] = softmax_j(h(e_k)) for j != k
    4. v_j = mean of S[k, j] over k != j: how much of all other classes goes to j
    5. index of a class: (v_j - q3) / (q3 - q1) by the quartiles of v; flagged above `threshold`

No image is held: images of noise tell where the stages end and whether values of the cut can be
negative. Of few classes the quartiles are those of few numbers.

Departs from the paper: the threshold is fixed, at what the authors' code names as its own; their
experiments set it on a third of the models that are to be judged. Classes are flagged one by one,
where theirs judges a model by the largest index. Where q1 and q3 are equal all indices are 0.
"""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import (
    Classifier,
    CleanSet,
    ImageShape,
    ModelDetector,
    NotApplicable,
    Verdict,
    device_of,
    param,
    to_float,
    track,
)
from benchbd_zoo.defense.parts.attention import stages
from benchbd_zoo.defense.parts.cut import Cut

FEWEST = 4
"""Classes below which quartiles tell nothing."""

PROBES = 8
"""Images of noise that are sent through the network."""


class FreeEagle(ModelDetector):
    """Takes `steps` passes through the later part of the network, of one sample for each class."""

    api = 1
    holds_data = False
    quick: ClassVar[dict[str, Any]] = {"steps": 20}

    stage: int = param(
        1, "stage after which the network is cut, counted from 1; of fewer, the last", ge=1
    )
    num_dummy: int = param(1, "values of the cut that are found for each class", ge=1)
    steps: int = param(1000, "steps in which they are found", ge=1)
    lr: float = param(0.01, "learning rate of Adam", gt=0)
    weight_decay: float = param(0.005, "decay of the values", ge=0)
    threshold: float = param(2.0, "index above which a class is flagged", gt=0)

    def inspect(self, model: Classifier, clean: CleanSet, rng: torch.Generator) -> Verdict:
        classes = clean.train.num_classes
        if classes < FEWEST:
            raise NotApplicable(
                f"quartiles of {classes} classes tell nothing; free_eagle needs {FEWEST}"
            )
        frozen = copy.deepcopy(model).eval().requires_grad_(False)
        cut, start, rectified = self._cut(frozen, clean.train.image_shape, rng)
        begin = torch.rand(self.num_dummy, classes, *start.shape[1:], generator=rng)
        found = [self._dummies(cut, some.to(start.device), rectified) for some in begin]
        with torch.no_grad():
            leaning = cut.after(torch.stack(found).mean(0)).double().softmax(1).cpu()
        v = tendency(leaning)
        scores = index(v)
        notes = {"tendency": v.tolist(), "cut": cut.layer, "rectified": rectified}
        return Verdict(scores, scores > self.threshold, notes=notes)

    def _cut(
        self, model: nn.Module, shape: ImageShape, rng: torch.Generator
    ) -> tuple[Cut, Tensor, bool]:
        """Step 1: the cut, values (B, ...) of noise in it, and whether none is negative."""
        noise = torch.randint(0, 256, (PROBES, *shape), generator=rng, dtype=torch.uint8)
        ends = list(stages(model, noise))
        if not ends:
            raise NotApplicable("no map leaves any of its layers, so there is no stage to cut at")
        cut = Cut(model, ends[min(self.stage, len(ends)) - 1], shape)
        with torch.no_grad():
            values = cut.before(to_float(noise.to(device_of(model))))
        return cut, values, bool((values >= 0).all())

    def _dummies(self, cut: Cut, values: Tensor, rectified: bool) -> Tensor:
        """Step 2 for all classes at once, from values (K, ...): they do not know of each other."""
        values.requires_grad_()
        wanted = torch.arange(len(values), device=values.device)
        adam = torch.optim.Adam([values], lr=self.lr, weight_decay=self.weight_decay)
        for _ in track(range(self.steps), "finding what each class looks like inside"):
            adam.zero_grad()
            F.cross_entropy(cut.after(values), wanted, reduction="sum").backward()
            adam.step()
            if rectified:
                with torch.no_grad():
                    values.clamp_(min=0)
        return values.detach()


def tendency(leaning: Tensor) -> Tensor:
    """Steps 3 and 4: v (K,) of probabilities (K, K), a row for each class that was asked for."""
    others = leaning - torch.diag(leaning.diagonal())
    return others.sum(0) / (len(leaning) - 1)


def index(v: Tensor) -> Tensor:
    """Step 5: (K,) of v (K,). The quartiles are values of v, not between two of them, and the upper
    one is not the largest, as it would be of four.
    """
    ordered, count = v.sort().values, len(v)
    q1, q3 = ordered[count // 4], ordered[min(3 * count // 4, count - 2)]
    return (v - q3) / (q3 - q1) if q3 > q1 else torch.zeros_like(v)
