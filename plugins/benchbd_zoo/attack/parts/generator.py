"""Networks that draw triggers: from images to maps of the same size, initialised from a generator,
kept as tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import to_float

Network = TypeVar("Network", bound=nn.Module)

_BLOCK = 64 * 32 * 32
"""Pixels that pass through a network together."""


class ConvBlock(nn.Sequential):
    """3x3 convolution, BatchNorm, ReLU unless it is the last of its network."""

    def __init__(
        self,
        inside: int,
        outside: int,
        *,
        stride: int = 1,
        momentum: float = 0.1,
        relu: bool = True,
    ) -> None:
        super().__init__(
            nn.Conv2d(inside, outside, 3, stride, padding=1),
            nn.BatchNorm2d(outside, momentum=momentum),
        )
        if relu:
            self.append(
                nn.ReLU(inplace=True)
            )  # BatchNorm does not need what it gave; one map less is written


def resized(maps: Tensor, like: Tensor) -> Tensor:
    """Maps (N, C, h, w) at the height and width of `like`, bilinearly."""
    return F.interpolate(maps, like.shape[2:], mode="bilinear", align_corners=False)


def drawn(build: Callable[[], Network], rng: torch.Generator, slope: float = 5**0.5) -> Network:
    """The network that `build` gives, on the CPU, with weights from `rng` by the rule of He et al.
    (2015).

    slope: of the rectifiers below zero. Without it, PyTorch's own choice, by which signals fade
    from layer to layer; 0 keeps them as strong as they are.
    """
    network = _unfilled(build)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_uniform_(layer.weight, a=slope, generator=rng)
            if layer.bias is not None:
                bound = layer.weight[0].numel() ** -0.5
                nn.init.uniform_(layer.bias, -bound, bound, generator=rng)
    return network


def stored(prefix: str, network: nn.Module) -> dict[str, Tensor]:
    """The weights and statistics of a network under names that begin with `prefix`, on the CPU."""
    return {
        f"{prefix}.{name}": value.detach().cpu().clone()
        for name, value in network.state_dict().items()
    }


def restored(prefix: str, build: Callable[[], Network], tensors: Mapping[str, Tensor]) -> Network:
    """The network that `stored` took apart, in eval mode."""
    network = _unfilled(build)
    start = f"{prefix}."
    network.load_state_dict(
        {
            name.removeprefix(start): value
            for name, value in tensors.items()
            if name.startswith(start)
        }
    )
    return network.eval()


def blockwise(function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """`function` of [0, 1] images, over uint8 `images` (N, C, H, W), in float32 and without
    gradients.

    Images pass in blocks of one size, the last filled up: the last digit of a sum may depend on how
    many there are, and what comes of an image is to be the same in any company.
    """
    count = max(1, _BLOCK // (images.shape[2] * images.shape[3]))
    parts = []
    with torch.inference_mode():
        for block in images.split(count):
            filled = torch.cat([block, block[-1:].expand(count - len(block), -1, -1, -1)])
            parts.append(function(to_float(filled))[: len(block)])
    return torch.cat(parts)


def _unfilled(build: Callable[[], Network]) -> Network:
    """What `build` gives, without a draw from the process-wide generators; its tensors hold
    anything.
    """
    with torch.device("meta"):
        network = build()
    network.to_empty(device="cpu").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network
