"""What enters layers of a network while images pass through it, in float32; before a BatchNorm
these are pre-activations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from benchbd.api import NotApplicable, logits, norm_layers


def batch_norms(model: nn.Module) -> dict[str, nn.Module]:
    """All BatchNorm layers with a scale and running statistics, by name."""
    found = {
        name: layer
        for name, layer in norm_layers(model).items()
        if isinstance(getattr(layer, "running_var", None), Tensor)
    }
    if not found:
        raise NotApplicable("the network has no BatchNorm with a scale and running statistics")
    return found


def gathered(
    model: nn.Module,
    layers: Iterable[str],
    images: Tensor,
    reduce: Callable[[Tensor], Tensor],
    what: str,
) -> dict[str, Tensor]:
    """By layer: `reduce` of what enters it, (B, C, places) a batch, joined on the CPU along the
    first dimension.

    A layer that takes no part in predictions is missing.
    """
    parts: dict[str, list[Tensor]] = {}

    def hook(layer: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda module, inputs: parts.setdefault(layer, []).append(
            reduce(inputs[0][..., None].flatten(2)).cpu()
        )

    with ExitStack() as hooks:
        for layer in layers:
            hooks.callback(model.get_submodule(layer).register_forward_pre_hook(hook(layer)).remove)
        logits(model, images, precision="fp32", what=what)
    return {layer: torch.cat(part) for layer, part in parts.items()}


def moments(
    model: nn.Module, layers: Iterable[str], images: Tensor, what: str
) -> dict[str, tuple[Tensor, Tensor]]:
    """By layer: mean (C,) and variance (C,) of what enters it, over all images and
    places, float64.
    """
    found = {}
    for layer, sums in gathered(model, layers, images, _sums, what).items():
        count, first, second = sums.sum(0)
        mean = first / count
        found[layer] = mean, (second / count - mean.square()).clamp(min=0)
    return found


def _sums(inputs: Tensor) -> Tensor:
    """Count, sum and sum of squares (1, 3, C) of inputs (B, C, places)."""
    first = inputs.sum((0, 2), dtype=torch.float64)
    second = inputs.square().sum((0, 2), dtype=torch.float64)
    return torch.stack([torch.full_like(first, inputs[:, 0].numel()), first, second])[None]
