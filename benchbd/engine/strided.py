"""Strided convolutions, computed so that torch 2.13 on a CPU neither damages memory nor reads what
nobody wrote.

- The backward pass of a strided 1x1 convolution with few channels in channels-last memory writes
  past its memory: it crashes, or does worse. Taking every s-th pixel first, and then a convolution
  without stride, is the same function.
- In bfloat16 on a processor with AMX, a strided convolution whose result is one pixel high or wide
  reads memory that nobody wrote: the gradient of its weights, and for some oblong maps its result,
  are NaN or numbers of 1e30. The same with the zeros of its padding written out, and with room for
  a second pixel that is then cut off, is the same function; its result and its gradients have the
  same bits wherever they had been right. A transposed convolution of such a map is wrong likewise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

SAFE_CHANNELS = 32
"""Number of output channels from which on the damage was not seen."""

Sizes = int | Sequence[int]
"""One number for each dimension of a map, or one number for all of them."""


class SubsampledConv2d(nn.Conv2d):
    """A strided 1x1 convolution that reads only the pixels it needs. Its weights and their names
    are those of `nn.Conv2d`.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that torch gives it
        rows, columns = self.stride
        return F.conv2d(input[:, :, ::rows, ::columns], self.weight, self.bias, groups=self.groups)


def make_safe(network: nn.Module) -> None:
    """Turn the narrow strided 1x1 convolutions of a network into `SubsampledConv2d`, in place."""
    for module in network.modules():
        narrow = (
            type(module) is nn.Conv2d
            and module.kernel_size == (1, 1)
            and module.out_channels < SAFE_CHANNELS
        )
        if narrow and module.stride != (1, 1) and module.padding in ((0, 0), "valid"):
            module.__class__ = SubsampledConv2d


class RoomyConvolutions(TorchFunctionMode):
    """A mode in which every strided convolution whose result is a single pixel in some dimension is
    computed with room for a second one, whatever network it belongs to.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        return _ROOMY.get(func, func)(*args, **(kwargs or {}))


def _convolution(
    plain: Callable[..., Tensor],
    input: Tensor,  # noqa: A002 - the names that torch gives them
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: str | Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Return a convolution over maps (..., C, *sides)."""
    taps = weight.shape[2:]
    steps, dilations = _each(stride, taps), _each(dilation, taps)
    if set(steps) == {1} or padding == "same":  # torch allows "same" only without stride
        return plain(input, weight, bias, stride, padding, dilation, groups)
    zeros = (0,) * len(taps) if padding == "valid" else _each(padding, taps)
    places = [
        side + 2 * zero - spread * (tap - 1) - 1
        for side, zero, spread, tap in zip(
            input.shape[-len(taps) :], zeros, dilations, taps, strict=True
        )
    ]
    lone = [0 <= place < step != 1 for place, step in zip(places, steps, strict=True)]
    if not any(lone):
        return plain(input, weight, bias, stride, padding, dilation, groups)
    room = [step if alone else 0 for step, alone in zip(steps, lone, strict=True)]
    padded = _padded(input, zeros, [zero + more for zero, more in zip(zeros, room, strict=True)])
    found = plain(padded, weight, bias, stride, 0, dilation, groups)
    return _cropped(found, [0] * len(taps), lone)


def _transposed(
    plain: Callable[..., Tensor],
    input: Tensor,  # noqa: A002 - the names that torch gives them
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor:
    """Return a transposed convolution over maps (..., C, *sides). What padding cuts off the border
    is computed first and then cut off.
    """
    taps = weight.shape[2:]
    steps, cuts, sides = _each(stride, taps), _each(padding, taps), input.shape[-len(taps) :]
    lone = [side == 1 != step for side, step in zip(sides, steps, strict=True)]
    if not any(lone):
        return plain(input, weight, bias, stride, padding, output_padding, groups, dilation)
    padded = _padded(input, [0] * len(taps), lone)
    found = plain(padded, weight, bias, stride, 0, output_padding, groups, dilation)
    room = [step if alone else 0 for step, alone in zip(steps, lone, strict=True)]
    return _cropped(found, cuts, [cut + more for cut, more in zip(cuts, room, strict=True)])


def _padded(maps: Tensor, before: Sequence[int], after: Sequence[int]) -> Tensor:
    """Return the maps with zeros around them. torch takes the widths of the last dimension
    first.
    """
    pairs = zip(reversed(before), reversed(after), strict=True)
    return F.pad(maps, [int(count) for pair in pairs for count in pair])


def _cropped(maps: Tensor, before: Sequence[int], after: Sequence[int]) -> Tensor:
    """Return the maps without this many pixels at their borders."""
    for dimension, (first, last) in enumerate(zip(before, after, strict=True), start=-len(before)):
        maps = maps.narrow(dimension, first, maps.shape[dimension] - first - last)
    return maps


def _each(sizes: Any, taps: Sequence[int]) -> tuple[int, ...]:
    """Return one number for each dimension, in whichever form they were given to torch."""
    told = (sizes,) if isinstance(sizes, int) else tuple(sizes)
    return told * len(taps) if len(told) == 1 else told


_ROOMY: dict[Any, Callable[..., Tensor]] = {
    **{plain: partial(_convolution, plain) for plain in (torch.conv1d, torch.conv2d, torch.conv3d)},
    **{
        plain: partial(_transposed, plain)
        for plain in (torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d)
    },
}
