"""Predictions, logits and features of whole image sets, computed in large batches without
gradients.
"""

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
    """Put `model` into eval mode inside the `with` block, and restore the mode of each of its
    modules afterwards.

    >>> _ = model.train()
    >>> with eval_mode(model):
    ...     print(model.training)
    False
    >>> model.training
    True
    """
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
    """Call `function` on images (B, C, H, W) in [0, 1], one batch after the other, without
    gradients. Returns all results joined, float32 on the CPU.

    images: uint8 (N, C, H, W), on any device. device: where `function` wants its batches. batch:
    the largest B. precision: as for `hardware`. what: a name under which progress is shown; empty
    for none.

    >>> def brightness(images):
    ...     return images.mean((1, 2, 3))
    >>> batched(brightness, test.images, torch.device("cpu")).shape
    torch.Size([100])
    """
    machine = hardware(str(device), precision)
    starts = range(0, len(images), batch)
    parts = []
    for start in track(starts, what) if what else starts:
        part = to_float(images[start : start + batch].to(device, non_blocking=machine.non_blocking))
        with torch.inference_mode(), machine.autocast(part):
            parts.append(function(part).float())
    # outside of inference mode, so that the result may be used where gradients are recorded
    return torch.cat(parts).cpu()


def logits(
    model: nn.Module, images: Tensor, *, precision: Precision = "auto", what: str = ""
) -> Tensor:
    """Return the logits (N, K) of uint8 images (N, C, H, W), float32 on the CPU. The model runs in
    eval mode, one batch after the other.

    precision: as for `hardware`. what: a name under which progress is shown; empty for none.

    >>> logits(model, test.images).shape
    torch.Size([100, 4])
    """
    with eval_mode(model):
        return batched(model, images, device_of(model), precision=precision, what=what)


def features(model: nn.Module, images: Tensor, *, precision: Precision = "auto") -> Tensor:
    """Return the penultimate features (N, D) of uint8 images (N, C, H, W), float32 on the CPU. The
    model runs in eval mode, one batch after the other.

    >>> features(model, test.images).shape
    torch.Size([100, 16])
    """
    with eval_mode(model):
        return batched(model.features, images, device_of(model), precision=precision)  # type: ignore[arg-type]


def predict(
    model: nn.Module, images: Tensor, *, precision: Precision = "auto", what: str = ""
) -> Tensor:
    """Return the predicted class (N,) int64 of uint8 images (N, C, H, W), on the CPU.

    precision: as for `hardware`. what: a name under which progress is shown; empty for none.

    >>> predict(model, test.images).shape
    torch.Size([100])
    """
    if not len(images):
        return torch.zeros(0, dtype=torch.int64)
    return logits(model, images, precision=precision, what=what).argmax(1)


def accuracy(
    model: nn.Module, images: Tensor, labels: Tensor, *, precision: Precision = "auto"
) -> float:
    """Return the share, from 0 to 1, of uint8 images (N, C, H, W) that are predicted as their label
    (N,). Methods call it on their validation images to choose between models.

    >>> accuracy(model, test.images, labels=predict(model, test.images))
    1.0
    """
    return float((predict(model, images, precision=precision) == labels.cpu()).double().mean())
