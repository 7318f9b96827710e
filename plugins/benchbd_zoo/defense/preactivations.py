"""What enters the BatchNorm layers of a network while images pass through it: pre-activations, in float32."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from benchbd.api import NotApplicable, logits, norm_layers


def batch_norms(model: nn.Module) -> dict[str, nn.Module]:
    """All BatchNorm layers with a scale and running statistics, by name."""
    found = {name: layer for name, layer in norm_layers(model).items() if isinstance(getattr(layer, "running_var", None), Tensor)}
    if not found:
        raise NotApplicable("the network has no BatchNorm with a scale and running statistics")
    return found


def gathered(model: nn.Module, images: Tensor, reduce: Callable[[Tensor], Tensor], what: str) -> dict[str, Tensor]:
    """By BatchNorm layer: `reduce` of what enters it, (B, C, places) a batch, joined on the CPU along the first dimension.

    A layer that takes no part in predictions is missing.
    """
    parts: dict[str, list[Tensor]] = {}

    def hook(layer: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda module, inputs: parts.setdefault(layer, []).append(reduce(inputs[0][..., None].flatten(2)).cpu())

    with ExitStack() as hooks:
        for name, layer in batch_norms(model).items():
            hooks.callback(layer.register_forward_pre_hook(hook(name)).remove)
        logits(model, images, precision="fp32", what=what)
    return {layer: torch.cat(part) for layer, part in parts.items()}
