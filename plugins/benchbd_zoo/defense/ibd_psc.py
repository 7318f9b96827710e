"""IBD-PSC (Hou, Feng, Hua, Luo, Zhang and Li, ICML 2024, 2405.09786): poison stays what it is when
parameters are multiplied.

    1. f^k = f with weight and bias of its last k BatchNorm layers times `scale`
    2. k grows from 1 until the error of f^k on clean images exceeds `xi`
    3. PSC(x) = mean over f^(k+1) ... f^(k+n) of the softmax probability of the class that f gives x
    4. a high PSC is suspicious

Clean images of the class to which all images go when parameters grow have a high PSC, too; where
they are more than `fpr` of the clean ones, no threshold that is set on those tells triggers from
them.

Layers are ordered by when they run. A network that has not so many layers behind k has its last
models scale them all.

Departs from the paper: the threshold is by default set on clean validation images, as for all input
detectors here; `T` = 0.9 is the paper's. The images of step 2 are the clean training images, so
that those of the threshold are others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call

from benchbd.api import (
    CleanSet,
    InputDetector,
    NotApplicable,
    Scorer,
    batched,
    device_of,
    eval_mode,
    is_scaled_norm,
    logits,
    param,
    watching_outputs,
)


class IBDPSC(InputDetector):
    """Parameters carry the names of a well-known toolbox."""

    api = 1

    n: int = param(5, "scaled models whose probabilities are averaged", ge=1)
    xi: float = param(0.6, "error on clean images above which enough layers are scaled", ge=0, le=1)
    scale: float = param(1.5, "factor of weights and biases", gt=0)
    T: float | None = param(
        None, "threshold; unset: that by which `fpr` of the clean validation images are turned away"
    )

    def fit(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Scorer:
        layers = batch_norms(model, clean.train.images[:2])
        start = self._start(model, layers, clean)
        depths = [min(start + step, len(layers)) for step in range(1, self.n + 1)]
        return _Consistency(model, [scaled(model, layers[-depth:], self.scale) for depth in depths])

    def threshold(self, validation: Tensor) -> float:
        return super().threshold(validation) if self.T is None else self.T

    def _start(self, model: nn.Module, layers: list[str], clean: CleanSet) -> int:
        """Step 2; all layers if the error never gets so large."""
        labels, device = clean.train.labels.cpu(), device_of(model)
        for depth in range(1, len(layers) + 1):
            changed = called(model, scaled(model, layers[-depth:], self.scale))
            with eval_mode(model):
                classes = batched(changed, clean.train.images, device).argmax(1)
            if float((classes != labels).double().mean()) > self.xi:
                return depth
        return len(layers)


class _Consistency:
    """`versions`: the parameters that differ, by name, of every scaled model."""

    def __init__(self, model: nn.Module, versions: list[dict[str, Tensor]]) -> None:
        self.model, self.versions = model, versions

    def score(self, images: Tensor) -> Tensor:
        with eval_mode(self.model):
            return batched(self._consistency, images, device_of(self.model))

    def _consistency(self, images: Tensor) -> Tensor:
        """PSC (B,) of images (B, C, H, W)."""
        given = self.model(images).argmax(1, keepdim=True)
        scores = (called(self.model, version)(images) for version in self.versions)
        return torch.stack([s.float().softmax(1).gather(1, given)[:, 0] for s in scores]).mean(0)


def batch_norms(model: nn.Module, images: Tensor) -> list[str]:
    """The BatchNorm layers with weight and bias that uint8 `images` pass, in the order in which
    they last run.
    """
    kind = nn.modules.batchnorm._BatchNorm
    there = [name for name, m in model.named_modules() if isinstance(m, kind) and is_scaled_norm(m)]
    order: dict[str, None] = {}

    def record(layer: str, _: Tensor) -> None:
        order.pop(layer, None)
        order[layer] = None

    with watching_outputs(model, there, record):
        logits(model, images)
    if not order:
        raise NotApplicable(
            "the network has no BatchNorm layer whose weight and bias could be scaled"
        )
    return list(order)


def scaled(model: nn.Module, layers: list[str], factor: float) -> dict[str, Tensor]:
    """Weight and bias of the layers times the factor, by name."""
    names = [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]
    return {name: factor * model.get_parameter(name).detach() for name in names}


def called(model: nn.Module, version: dict[str, Tensor]) -> Callable[[Tensor], Tensor]:
    """The network with those parameters in the place of its own."""
    return partial(functional_call, model, version)
