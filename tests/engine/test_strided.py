"""The way around a fault of torch gives the same function, and is taken by every model that the
core builds.
"""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from benchbd.engine.graph import node_of, trace
from benchbd.engine.strided import SubsampledConv2d, make_safe
from benchbd.plugin.registry import create
from benchbd.victim.model import Model

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


def test_training_survives() -> None:
    done = subprocess.run([sys.executable, "-c", TRAIN], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "lived\n"), done.stderr
