"""Predictions, logits and features of whole image sets, in large batches without gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from benchbd.engine.hardware import hardware
from benchbd.engine.progress import track
from benchbd.engine.recipe import Precision
from benchbd.engine.training import device_of, to_float

EVAL_BATCH = 256


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Eval mode inside, every module's own mode again after."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def batched(
    function: Callable[[Tensor], Tensor],
    images: Tensor,
    device: torch.device,
    *,
    batch: int = EVAL_BATCH,
    precision: Precision = "auto",
    what: str = "",
) -> Tensor:
    """`function` of [0, 1] images (B, C, H, W), over uint8 `images` (N, C, H, W); results joined on
    the CPU as float32.
    """
    machine = hardware(str(device), precision)
    starts = range(0, len(images), batch)
    parts = []
    for start in track(starts, what) if what else starts:
        part = to_float(images[start : start + batch].to(device, non_blocking=machine.non_blocking))
        with torch.inference_mode(), machine.autocast(part):
            parts.append(function(part).float())
    return torch.cat(
        parts
    ).cpu()  # outside, so that what comes back may take part in a method's own gradients


def logits(
    model: nn.Module, images: Tensor, *, precision: Precision = "auto", what: str = ""
) -> Tensor:
    """(N, K) float32 on the CPU, for uint8 images (N, C, H, W)."""
    with eval_mode(model):
        return batched(model, images, device_of(model), precision=precision, what=what)


def features(model: nn.Module, images: Tensor, *, precision: Precision = "auto") -> Tensor:
    """Penultimate features (N, D) float32 on the CPU."""
    with eval_mode(model):
        return batched(model.features, images, device_of(model), precision=precision)  # type: ignore[arg-type]


def predict(
    model: nn.Module, images: Tensor, *, precision: Precision = "auto", what: str = ""
) -> Tensor:
    """Predicted class of every image, (N,) int64."""
    if not len(images):
        return torch.zeros(0, dtype=torch.int64)
    return logits(model, images, precision=precision, what=what).argmax(1)


def accuracy(
    model: nn.Module, images: Tensor, labels: Tensor, *, precision: Precision = "auto"
) -> float:
    """Share of images predicted as their label."""
    return float((predict(model, images, precision=precision) == labels.cpu()).double().mean())
