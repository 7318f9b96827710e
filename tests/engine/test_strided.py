"""The ways around faults of torch give the same function and right numbers, and are taken by every
model that the core builds and by every network that meets images through it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.engine.convolutions import ConvShape, conv_shapes
from benchbd.engine.graph import node_of, trace
from benchbd.engine.hardware import Hardware
from benchbd.engine.strided import RoomyConvolutions, SubsampledConv2d, make_safe
from benchbd.plugin.registry import create
from benchbd.victim.model import Model

CPU = torch.device("cpu")


TRAIN = """
import torch
from benchbd.plugin.registry import create
plugin = create("model", "resnet_small", {"width": 4})
model = plugin.restore(3, (3, 64, 64), (0.5,) * 3, (0.2,) * 3)
for _ in range(3):
    images = torch.rand(16, 3, 64, 64).to(memory_format=torch.channels_last)
    model.train()(images).sum().backward()
print("lived")
"""


@pytest.mark.parametrize(
    ("stride", "groups", "bias"), [((2, 2), 1, False), ((3, 2), 1, True), ((2, 2), 4, True)]
)
def test_values_and_gradients_are_those_of_the_convolution(
    stride: tuple[int, int], groups: int, bias: bool
) -> None:
    plain = nn.Conv2d(8, 16, 1, stride, groups=groups, bias=bias)
    safe = nn.Sequential(nn.Conv2d(8, 16, 1, stride, groups=groups, bias=bias))
    make_safe(safe)
    assert isinstance(safe[0], SubsampledConv2d)
    safe[0].load_state_dict(plain.state_dict())
    maps = torch.randn(2, 8, 9, 11, dtype=torch.float32)
    ours, theirs = (maps.clone().requires_grad_() for _ in range(2))
    safe(ours).square().sum().backward()
    plain(theirs).square().sum().backward()
    assert torch.allclose(safe(maps), plain(maps), atol=1e-6)
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-5)  # type: ignore[arg-type]
    assert torch.allclose(safe[0].weight.grad, plain.weight.grad, atol=1e-4)  # type: ignore[arg-type]


def test_wide_padded_and_unstrided_ones_stay() -> None:
    network = nn.Sequential(
        nn.Conv2d(8, 32, 1, 2),
        nn.Conv2d(8, 16, 1, 2, padding=1),
        nn.Conv2d(8, 16, 1),
        nn.Conv2d(8, 16, 3, 2),
    )
    make_safe(network)
    assert all(type(module) is nn.Conv2d for module in network)


def test_models_are_built_with_it_and_it_is_one_node_of_the_graph() -> None:
    model = create("model", "resnet_small", {"width": 4})
    assert isinstance(model, Model)
    network = model.restore(3, (3, 16, 16), (0.5,) * 3, (0.2,) * 3)
    name = next(
        name for name, module in network.named_modules() if isinstance(module, SubsampledConv2d)
    )
    graph = trace(network)
    assert graph is not None and node_of(graph, name) is not None


@pytest.mark.slow
def test_training_survives() -> None:
    done = subprocess.run([sys.executable, "-c", TRAIN], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "lived\n"), done.stderr


def differentiated(work: Callable[..., Tensor], *given: Tensor) -> list[Tensor]:
    """The result, and the gradient of its weighted sum by all that was given."""
    leaves = [each.clone(memory_format=torch.preserve_format).requires_grad_() for each in given]
    found = work(*leaves)
    weights = torch.linspace(-1, 1, found.numel(), dtype=given[0].dtype).view(found.shape)
    return [found.detach(), *torch.autograd.grad((found * weights).sum(), leaves)]


ODD: list[tuple[Callable[..., Tensor], tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    (F.conv2d, (2, 4, 1, 1), (6, 4, 3, 3), {"stride": 2, "padding": 1}),
    (F.conv2d, (2, 4, 8, 1), (6, 4, 2, 3), {"stride": 2, "padding": [1, 1]}),
    (F.conv2d, (2, 4, 2, 7), (6, 2, 3, 5), {"stride": (3, 1), "padding": (1, 2), "groups": 2}),
    (F.conv2d, (2, 4, 2, 3), (6, 4, 2, 2), {"stride": 3, "padding": 2, "dilation": 2}),
    (F.conv2d, (2, 4, 3, 3), (6, 4, 3, 3), {"stride": (2,), "padding": "valid"}),
    (F.conv2d, (4, 1, 1), (6, 4, 3, 3), {"stride": 2, "padding": 1}),
    (F.conv2d, (2, 4, 1, 1), (6, 4, 3, 3), {"padding": "same"}),
    (F.conv1d, (2, 4, 1), (6, 4, 3), {"stride": 2, "padding": 1}),
    (F.conv3d, (2, 4, 1, 2, 5), (6, 4, 3, 3, 3), {"stride": 2, "padding": 1}),
    (F.conv_transpose2d, (2, 4, 1, 1), (4, 6, 3, 3), {"stride": 2, "padding": 1}),
    (
        F.conv_transpose2d,
        (2, 4, 1, 3),
        (4, 3, 4, 5),
        {"stride": (2, 3), "padding": (1, 0), "output_padding": 1, "groups": 2},
    ),
    (F.conv_transpose2d, (4, 1, 1), (4, 6, 4, 4), {"stride": 2, "padding": 1, "dilation": 2}),
    (F.conv_transpose1d, (2, 4, 1), (4, 6, 3), {"stride": 3}),
    (F.conv_transpose3d, (2, 4, 1, 2, 1), (4, 6, 3, 3, 3), {"stride": 2, "padding": 1}),
]


@pytest.mark.parametrize(("plain", "maps", "weight", "options"), ODD)
@pytest.mark.parametrize("biased", [False, True])
def test_with_room_every_kind_of_convolution_is_the_same_function(
    plain: Callable[..., Tensor],
    maps: tuple[int, ...],
    weight: tuple[int, ...],
    options: dict[str, Any],
    biased: bool,
    rng: torch.Generator,
) -> None:
    given = [torch.randn(size, generator=rng, dtype=torch.float64) for size in (maps, weight)]
    if biased:
        outside = (
            6 if plain in (F.conv1d, F.conv2d, F.conv3d) else weight[1] * options.get("groups", 1)
        )
        given.append(torch.randn(outside, generator=rng, dtype=torch.float64))
    right = differentiated(partial(plain, **options), *given)
    with RoomyConvolutions():
        roomy = differentiated(partial(plain, **options), *given)
    for mine, theirs in zip(roomy, right, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-12, atol=1e-12)
        assert mine.shape == theirs.shape


def test_what_torch_refuses_is_refused_with_room_too() -> None:
    with RoomyConvolutions(), pytest.raises(RuntimeError, match="Kernel size can't be greater"):
        F.conv2d(torch.ones(1, 1, 1, 1), torch.ones(1, 1, 5, 5), stride=2, padding=1)


@pytest.mark.parametrize(
    "shape", [s for s in conv_shapes() if s.length > 1 or s.stride == 1], ids=str
)
def test_other_convolutions_keep_their_bits(shape: ConvShape, rng: torch.Generator) -> None:
    maps = torch.randn(2, shape.inside, shape.side, shape.side, generator=rng)
    weight = torch.randn(shape.outside, shape.inside, shape.kernel, shape.kernel, generator=rng)
    found = []
    for machine in (Hardware(CPU, bf16=True).autocast(maps), torch.autocast("cpu", torch.bfloat16)):
        with machine:
            found.append(F.conv2d(maps, weight, None, shape.stride, shape.padding))
    assert found[0].dtype == torch.bfloat16 and torch.equal(*found)


def test_transposed_convolutions_of_single_pixels_have_gradients(rng: torch.Generator) -> None:
    """Those of their weights were garbage, too."""
    for kernel, stride, padding in ((3, 2, 1), (5, 2, 2), (3, 3, 1), (4, 2, 1)):
        maps = torch.randn(8, 16, 1, 1, generator=rng)
        weight = torch.randn(16, 8, kernel, kernel, generator=rng)
        work = partial(F.conv_transpose2d, stride=stride, padding=padding)
        exact = differentiated(work, maps.double(), weight.double())
        garbage = [torch.full((2**power,), torch.nan) for power in range(4, 17)]
        del garbage
        with Hardware(CPU, bf16=True).autocast(maps):
            found = differentiated(work, maps, weight)
        for mine, right in zip(found, exact, strict=True):
            assert float((mine - right).abs().max()) < 0.03 * float(right.abs().max())
