"""Neural Cleanse (Wang, Yao, Shan, Li, Viswanath, Zheng and Zhao, S&P 2019): a backdoor is a
shortcut, so look for short ways.

    1. for every class t find mask m (H, W) and pattern p (C, H, W), both in [0, 1]:
           x' = (1 - m) x + m p
           min CE(f(x'), t) + cost * |m|_1  by Adam with betas (.5, .9)
       over images of all classes, in mini-epochs
    2. cost: 0 until `patience` mini-epochs succeed, then `init_cost`; * multiplier after `patience`
       successes in a row, / multiplier^1.5 after `patience` failures. The smallest mask of a
       mini-epoch that succeeded is kept
    3. early stop: the cost went up and down, and for `early_stop_patience` mini-epochs the mask did
       not shrink
    4. anomaly index of a class: (median - |m|_1) / (1.4826 * MAD) over the classes; flagged above 2
    5. unlearn, if a class is flagged: train on clean images, `unlearning_ratio` of each batch with
       a reversed trigger of a flagged class and its TRUE label

All classes are optimised together. If no class is flagged nothing is repaired, and the notes say
so: that is the detector's miss and not a failed repair. With few classes the index is coarse; it
needs three to exist.

Departs from the paper: the index has a sign, so that a mask larger than the median is no suspicion.
A class for which no trigger was found counts as one that needs the whole image. All classes start
from the same random mask and see the same images. Unlearning takes as many epochs as plain fine-
tuning here, since the clean set is smaller than the paper's. Of an even number of norms the median
is the middle between two, where some ports take the lower one and flag more.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from benchbd.api import (
    CleanSet,
    FineTuning,
    ImageSet,
    ModelDetector,
    NotApplicable,
    Recipe,
    Verdict,
    fit,
    fork,
    param,
    to_uint8,
)
from benchbd_zoo.defense.parts.reversed_trigger import ReversedTriggers, Search, reverse

FEWEST = 3
"""Classes below which a median absolute deviation tells nothing: of two, both are equally far from
the median.
"""


class NeuralCleanse(FineTuning, ModelDetector):
    """Time grows with the number of classes that are still searched; memory is bounded by
    `at_once`.
    """

    api = 1
    quick: ClassVar[dict[str, Any]] = {"nb_sample": 64}

    steps: int = param(1000, "mini-epochs of the search", ge=1)
    nb_sample: int = param(1000, "images of a mini-epoch, drawn with replacement", ge=1)
    batch_size: int = param(32, "images per step and class, also when unlearning", ge=1)
    mask_lr: float = param(0.1, "learning rate of masks and patterns", gt=0)
    init_cost: float = param(1e-3, "first weight of the mask's size, once a class succeeds", gt=0)
    attack_succ_threshold: float = param(
        0.99, "share of a mini-epoch sent to the class that counts as success", gt=0, le=1
    )
    patience: int = param(5, "mini-epochs in a row after which the weight moves", ge=1)
    cost_multiplier: float = param(
        1.5, "by how much the weight grows; it shrinks by this to the power of 1.5", gt=1
    )
    early_stop: bool = param(True, "stop a class whose mask shrinks no more")
    early_stop_threshold: float = param(
        0.99, "a mask smaller than this share of the best so far has shrunk", gt=0, le=1
    )
    early_stop_patience: int = param(
        25, "mini-epochs without shrinking after which a class stops", ge=1
    )
    at_once: int = param(
        1024, "stamped images that pass the network together; bounds memory, not results", ge=1
    )
    anomaly_threshold: float = param(2.0, "anomaly index above which a class is flagged", gt=0)
    unlearning_ratio: float = param(
        0.2, "share of each batch that is stamped when unlearning", ge=0, le=1
    )
    epochs: int = param(20, "passes over the clean images when unlearning", ge=0)

    def inspect(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Verdict:
        images = clean.all()
        if images.num_classes < FEWEST:
            raise NotApplicable(
                f"an outlier among {images.num_classes} classes cannot be told; neural_cleanse "
                f"needs {FEWEST}"
            )
        frozen = copy.deepcopy(model).eval().requires_grad_(False)
        found = reverse(
            frozen, images.images, torch.arange(images.num_classes), self._search(), fork(rng)
        )
        scores = anomaly_index(found.norms())
        flagged = scores > self.anomaly_threshold
        triggers = (found.masks[:, None] * found.patterns).cpu()
        return Verdict(
            scores,
            flagged,
            triggers=dict(enumerate(triggers)),
            repaired=self._unlearn(model, images, found, flagged, fork(rng))
            if bool(flagged.any())
            else None,
            notes=_notes(found, flagged),
        )

    def _search(self) -> Search:
        shared = {
            name: value
            for name, value in self.params.items()
            if name in Search.__dataclass_fields__
        }
        return Search(mini_batches=max(1, self.nb_sample // self.batch_size), **shared)

    def _unlearn(
        self,
        model: nn.Module,
        images: ImageSet,
        found: ReversedTriggers,
        flagged: Tensor,
        rng: torch.Generator,
    ) -> nn.Module:
        """Step 5, on a copy of the model."""
        edit = stamping(
            found.masks[flagged], found.patterns[flagged], self.unlearning_ratio, fork(rng)
        )
        return fit(
            copy.deepcopy(model),
            images,
            Recipe.of(self),
            rng,
            edit=edit,
            what="unlearning the reversed trigger",
        )


def anomaly_index(norms: Tensor) -> Tensor:
    """(K,) float64: how far each norm lies below the median, in deviations of a normal
    distribution.
    """
    middle = norms.quantile(0.5)
    spread = 1.4826 * (norms - middle).abs().quantile(0.5)
    return (middle - norms) / spread.clamp(min=1e-6)


def stamping(
    masks: Tensor, patterns: Tensor, share: float, rng: torch.Generator
) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Puts one of the triggers, masks (T, H, W) and patterns (T, C, H, W), on `share` of a batch;
    labels stay as they are.
    """

    def edit(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        count = round(share * len(images))
        chosen, rest = images[:count], images[count:]
        which = torch.randint(0, len(masks), (len(chosen),), generator=rng).to(masks.device)
        return torch.cat([_stamped(chosen, masks[which], patterns[which]), rest]), labels

    return edit


def _stamped(images: Tensor, masks: Tensor, patterns: Tensor) -> Tensor:
    """Each of uint8 images (B, C, H, W) with a trigger of its own: masks (B, H, W), patterns (B, C,
    H, W).
    """
    m = masks[:, None]
    return to_uint8((1 - m) * images + m * 255 * patterns)


def _notes(found: ReversedTriggers, flagged: Tensor) -> dict[str, Any]:
    return {
        "outcome": "unlearned" if bool(flagged.any()) else "nothing flagged, so nothing repaired",
        "mask_norms": found.norms().tolist(),
        "found": found.found.tolist(),
        "costs": found.cost.tolist(),
        "mini_epochs": found.steps.tolist(),
    }
