"""Access to the outputs of a network's layers, through hooks that are removed afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from benchbd.engine.inference import logits
from benchbd.errors import ConfigError


def channel_means(model: nn.Module, layer: str, images: Tensor, rectified: bool) -> Tensor:
    """Return the mean output of every channel of `layer` over all images and all places, (C,)
    float64 on the CPU.

    images: uint8 (N, C, H, W). rectified: outputs below zero count as zero. Raises `ConfigError`
    when the network does not use the layer.

    >>> layer = next(iter(conv_layers(model)))
    >>> channel_means(model, layer, test.images, rectified=True).shape
    torch.Size([8])
    """
    totals: list[Tensor] = []
    count = 0

    def record(_: str, output: Tensor) -> None:
        nonlocal count
        by_channel = output.movedim(_channel_dim(model.get_submodule(layer), output), 0).flatten(1)
        totals.append(
            (by_channel.relu() if rectified else by_channel).sum(1, dtype=torch.float64).cpu()
        )
        count += by_channel.shape[1]

    with watching_outputs(model, [layer], record):
        logits(model, images)
    if not count:
        raise ConfigError(f"layer {layer!r} is not used by the network; name another")
    return torch.stack(totals).sum(0) / count


def last_executed(model: nn.Module, layers: Iterable[str], images: Tensor) -> str | None:
    """Return the name of the one of `layers` that ran last on uint8 `images` (N, C, H, W), or None
    when none of them ran.

    >>> last_executed(model, ["network.head", *conv_layers(model)], test.images[:1])
    'network.head'
    """
    order: list[str] = []
    with watching_outputs(model, layers, lambda layer, _: order.append(layer)):
        logits(model, images)
    return order[-1] if order else None


@contextmanager
def watching_outputs(
    model: nn.Module, layers: Iterable[str], record: Callable[[str, Tensor], None]
) -> Iterator[None]:
    """Call `record(layer, output)` inside the `with` block whenever one of `layers`, given by name,
    has run.

    >>> shapes = []
    >>> with watching_outputs(model, ["network.head"], lambda layer, out: shapes.append(out.shape)):
    ...     _ = model(to_float(test.images[:8]))
    >>> shapes
    [torch.Size([8, 4])]
    """

    def hook(layer: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        return lambda module, inputs, output: record(layer, output)

    with ExitStack() as hooks:
        for layer in layers:
            hooks.callback(model.get_submodule(layer).register_forward_hook(hook(layer)).remove)
        yield


def _channel_dim(layer: nn.Module, output: Tensor) -> int:
    """Return the dimension of `output` that holds the channels. It is the last one after linear
    layers and LayerNorm. The LayerNorm for maps, which torchvision and timm call LayerNorm2d, keeps
    channels second; only the name tells it apart when a map is as wide as it has channels.
    """
    if isinstance(layer, nn.LayerNorm):
        return 1 if type(layer).__name__.endswith("2d") else output.ndim - 1
    return output.ndim - 1 if isinstance(layer, nn.Linear) else 1
