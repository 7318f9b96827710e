"""A test of whether convolutions on this machine agree with float64, over many shapes and number
formats.

Kernels of some processors have been wrong for some shapes without any error. They are compared with
float64, which torch computes by other code.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchbd.engine.hardware import Hardware
from benchbd.engine.recipe import Precision
from benchbd.engine.strided import make_safe

LARGEST_ERROR_SHARE: dict[Precision, float] = {"fp32": 1e-5, "bf16": 0.02}
"""Largest error, as a share of the sum of the magnitudes of all terms."""

_BLOCKS = tuple(2**power for power in range(4, 17))
"""Lengths of the blocks of memory that are filled with NaN and then freed."""


@dataclass(frozen=True)
class ConvShape:
    """A convolution with a square kernel, and the batch of square maps on which it is computed."""

    kernel: int
    stride: int
    padding: int
    side: int
    inside: int
    outside: int
    batch: int
    channels_last: bool

    def __str__(self) -> str:
        window = f"{self.kernel}x{self.kernel}, stride {self.stride}, padding {self.padding}"
        maps = f"{self.batch} maps of {self.side}x{self.side}"
        return f"{window}, over {maps}, {self.inside} to {self.outside} channels"

    @property
    def length(self) -> int:
        """The side of the result, in pixels."""
        return (self.side + 2 * self.padding - self.kernel) // self.stride + 1

    def build(self) -> nn.Module:
        """Return the convolution as a network. Its weights are not initialised."""
        sizes = (self.inside, self.outside, self.kernel, self.stride, self.padding)
        network = nn.Sequential(nn.utils.skip_init(nn.Conv2d, *sizes))
        make_safe(network)
        return network


def conv_shapes(
    kernels: Sequence[int] = (1, 2, 3, 5), sides: Sequence[int] = (1, 2, 3, 4, 7)
) -> Iterator[ConvShape]:
    """Yield shapes of small kernels, strides, paddings and maps, with varying channels and batch
    sizes.
    """
    channels = itertools.cycle([(3, 16), (16, 32), (8, 5), (64, 16), (1, 8)])
    batches = itertools.cycle(
        [(2, True), (8, True), (16, False), (1, True), (3, False), (32, True)]
    )
    for kernel, stride, padding, side in itertools.product(kernels, (1, 2, 3), (0, 1, 2), sides):
        if padding < kernel <= side + 2 * padding:
            sizes = (*next(channels), *next(batches))
            yield ConvShape(kernel, stride, padding, side, *sizes)


def find_disagreements(shapes: Iterable[ConvShape], precision: Precision) -> list[ConvShape]:
    """Return those of the shapes whose result in this number format disagrees with float64 on the
    CPU.
    """
    # written with `not`, because every comparison with NaN is false
    return [
        shape
        for shape in shapes
        if not deviation(shape, precision) < LARGEST_ERROR_SHARE[precision]
    ]


def deviation(shape: ConvShape, precision: Precision) -> float:
    """Return the largest error of the result and of the gradients of maps and weights, as a share
    of the sum of the magnitudes of all terms. It is NaN where one of them is NaN.
    """
    rng, side, length = torch.Generator().manual_seed(0), shape.side, shape.length
    maps = torch.randn(shape.batch, shape.inside, side, side, generator=rng)
    above = torch.randn(shape.batch, shape.outside, length, length, generator=rng)
    values = [torch.randn(p.shape, generator=rng) for p in shape.build().parameters()]
    given = [maps, above, *values]
    cast = Hardware(torch.device("cpu"), precision == "bf16").autocast(maps)
    found = _result_and_gradients(shape, given, cast)
    exact = _result_and_gradients(shape, [each.double() for each in given], nullcontext())
    added = _result_and_gradients(shape, [each.double().abs() for each in given], nullcontext())
    # Where there are no terms the right result is zero; the clamp lets any other count as an error.
    errors = [
        ((mine - right).abs() / most.clamp(min=1e-30)).max()
        for mine, right, most in zip(found, exact, added, strict=True)
    ]
    return float(torch.stack(errors).max())


def _result_and_gradients(
    shape: ConvShape, given: Sequence[Tensor], context: AbstractContextManager[object]
) -> list[Tensor]:
    """Return the result and the gradients of maps, weights and bias. given: the maps, the gradient
    of the result, and the parameters. Memory that was never written to holds NaN.
    """
    maps, above, *values = given
    network = shape.build().to(maps.dtype)
    with torch.no_grad():
        for parameter, value in zip(network.parameters(), values, strict=True):
            parameter.copy_(value)
    if shape.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        maps = maps.to(memory_format=torch.channels_last)
    maps = maps.clone(memory_format=torch.preserve_format).requires_grad_()
    _fill_heap()
    with context:
        result = network(maps).to(above.dtype)
    _fill_heap()
    gradients = torch.autograd.grad(result, [maps, *network.parameters()], above)
    return [result.detach(), *gradients]


def _fill_heap() -> None:
    """Let the memory that is allocated next hold NaN, as it may after any other work."""
    blocks = [torch.full((length,), torch.nan) for length in _BLOCKS for _ in range(3)]
    del blocks
