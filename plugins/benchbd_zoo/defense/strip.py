"""STRIP (Gao, Xu, Wang, Chen, Ranasinghe and Nepal, ACSAC 2019, 1902.06531): a trigger survives
what is laid over it.

    1. N clean images c_k are drawn
    2. x_k = clip(x + a * c_k, 0, 1)               superposition, of pixels in [0, 1]
    3. H = mean over k of  - sum_i p_i(x_k) log2 p_i(x_k)
    4. a low entropy H is suspicious: whatever is laid over the input, the class stays

Suspicion is -H. All overlays of several inputs pass the network together.

Departs from the paper: the N images are drawn once and are the same for all inputs, so that an
input's score depends on nothing but the input. N and a are those of a well-known toolbox; the paper
takes 100 images.
"""

from __future__ import annotations

import math

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from benchbd.api import (
    CleanSet,
    InputDetector,
    Scorer,
    batched,
    device_of,
    eval_mode,
    param,
    to_float,
)


class Overlaying(BaseModel):
    """What STRIP needs to know, of inputs and of training samples alike."""

    n: int = param(
        64,
        "clean images that are laid over every input; with fewer clean images some are drawn again",
        ge=1,
    )
    strip_alpha: float = param(0.5, "weight a of the clean image", gt=0)
    at_once: int = param(
        1024, "superposed images that pass the network together; bounds memory, not results", ge=1
    )

    def fit(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Scorer:
        held = clean.train.images
        rounds = [torch.randperm(len(held), generator=rng) for _ in range(-(-self.n // len(held)))]
        overlays = held[torch.cat(rounds)[: self.n].to(held.device)]
        return _Overlays(
            model, self.strip_alpha * to_float(overlays.to(device_of(model))), self.at_once
        )


class STRIP(Overlaying, InputDetector):
    """Of any network."""

    api = 1


class _Overlays:
    """`overlays` (N, C, H, W) are a * c_k."""

    def __init__(self, model: nn.Module, overlays: Tensor, at_once: int) -> None:
        self.model, self.overlays, self.at_once = model, overlays, at_once

    def score(self, images: Tensor) -> Tensor:
        batch = max(1, self.at_once // len(self.overlays))
        with eval_mode(self.model):
            return -batched(self._entropy, images, self.overlays.device, batch=batch)

    def _entropy(self, images: Tensor) -> Tensor:
        """H (B,) of images (B, C, H, W)."""
        total = torch.zeros(len(images), device=images.device)
        for overlays in self.overlays.split(max(1, self.at_once // len(images))):
            mixed = superposed(images, overlays)
            total += entropy(self.model(mixed.flatten(0, 1))).view(mixed.shape[:2]).sum(1)
        return total / len(self.overlays)


def superposed(images: Tensor, overlays: Tensor) -> Tensor:
    """Every one of (B, C, H, W) under every one of (N, C, H, W), clipped to what a pixel can be:
    (B, N, C, H, W).
    """
    return (images[:, None] + overlays).clamp_(0, 1)


def entropy(scores: Tensor) -> Tensor:
    """Entropy (N,) in bits of the softmax of logits (N, K)."""
    log_p = scores.float().log_softmax(1)
    return -(log_p.exp() * log_p).sum(1) / math.log(2)
