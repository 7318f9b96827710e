"""Networks as graphs: who reads whom."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from benchbd.engine.graph import (
    deepest_convolution,
    feeds_relu,
    following_norm,
    main_path,
    node_of,
    trace,
)
from support.tiny_networks import Branching, InPlace, Plain, PreAct, Residual, classifier


def graph_of(body: nn.Module) -> fx.GraphModule:
    graph = trace(body)
    assert graph is not None
    return graph


class Wired(nn.Module):
    """A convolution, a norm, and `wire` that says what becomes of them."""

    def __init__(self, wire: Callable[[Wired, Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.bare = nn.BatchNorm2d(3, affine=False)
        self.relu, self.fast_relu, self.same = nn.ReLU(), nn.ReLU(inplace=True), nn.Identity()
        self.relu_ = nn.GELU()
        self.wire = wire

    def forward(self, x: Tensor) -> Tensor:
        return self.wire(self, x)


def test_the_graph_computes_what_the_network_computes() -> None:
    model = classifier(Residual())
    images = torch.rand(4, 3, 6, 6)
    with torch.no_grad():
        assert torch.equal(graph_of(model)(images), model(images))


def test_the_graph_shares_its_parameters() -> None:
    model = classifier(Plain())
    assert graph_of(model).get_submodule("network.body.conv1") is model.network.body.conv1


def test_a_network_that_depends_on_values_has_no_graph() -> None:
    assert trace(classifier(Branching())) is None


def test_tracing_sees_eval_mode_and_leaves_the_mode() -> None:
    class Dropping(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(x, 0.5, self.training)

    network = Dropping().train()
    images = torch.ones(100)
    assert torch.equal(graph_of(network)(images), images)
    assert network.training


def test_norms_of_other_libraries_stay_whole() -> None:
    class Other(nn.BatchNorm2d):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name in nn.BatchNorm2d
            return F.relu(super().forward(input))

    graph = graph_of(nn.Sequential(nn.Conv2d(3, 4, 1), Other(4)))
    assert following_norm(graph, "0") == "1"


@pytest.mark.parametrize(
    ("body", "conv", "norm"),
    [
        (Residual, "conv1", "bn1"),
        (Residual, "conv2", "bn2"),
        (Residual, "shortcut", None),
        (PreAct, "stem", None),
        (PreAct, "conv1", "bn2"),
        (PreAct, "conv2", None),
        (Plain, "conv1", None),
    ],
)
def test_following_norm(body: type[nn.Module], conv: str, norm: str | None) -> None:
    assert following_norm(graph_of(body()), conv) == norm


@pytest.mark.parametrize(
    "wire",
    [
        lambda m, x: m.bn(m.conv(x) + x),
        lambda m, x: (lambda y: m.bn(y) + y)(m.conv(x)),
        lambda m, x: m.bare(m.conv(x)),
        lambda m, x: m.bn(m.conv(m.conv(x))),
    ],
    ids=["norm behind an addition", "two readers", "norm without a scale", "runs twice"],
)
def test_no_following_norm(wire: Callable[[Wired, Tensor], Tensor]) -> None:
    assert following_norm(graph_of(Wired(wire)), "conv") is None


@pytest.mark.parametrize(
    "wire",
    [
        lambda m, x: m.relu(m.conv(x)),
        lambda m, x: m.fast_relu(m.conv(x)),
        lambda m, x: F.relu(m.conv(x)),
        lambda m, x: F.relu(m.conv(x), inplace=True),
        lambda m, x: torch.relu(m.conv(x)),
        lambda m, x: m.conv(x).relu(),
        lambda m, x: m.conv(x).relu_(),
        lambda m, x: m.relu(m.same(m.conv(x))),
    ],
    ids=[
        "module",
        "module in place",
        "function",
        "function in place",
        "torch",
        "method",
        "method in place",
        "behind an identity",
    ],
)
def test_every_form_of_relu(wire: Callable[[Wired, Tensor], Tensor]) -> None:
    assert feeds_relu(graph_of(Wired(wire)), "conv")


@pytest.mark.parametrize(
    "wire",
    [
        lambda m, x: F.gelu(m.conv(x)),
        lambda m, x: m.bn(m.conv(x)),
        lambda m, x: (lambda y: F.relu(y) + y)(m.conv(x)),
        lambda m, x: m.relu_(m.conv(x)),
    ],
    ids=["another function", "a norm", "two readers", "a module of that name"],
)
def test_no_relu(wire: Callable[[Wired, Tensor], Tensor]) -> None:
    assert not feeds_relu(graph_of(Wired(wire)), "conv")


def test_the_sum_of_a_residual_block_stands_between_norm_and_relu() -> None:
    graph = graph_of(Residual())
    assert feeds_relu(graph, "bn1")
    assert not feeds_relu(graph, "bn2")


def test_node_of_wants_the_only_touch() -> None:
    def shared(m: Wired, x: Tensor) -> Tensor:
        return m.conv(x) * m.bn.weight.sum() + m.bn(x)

    graph = graph_of(Wired(shared))
    assert node_of(graph, "conv") is not None
    assert node_of(graph, "bn") is None
    assert node_of(graph, "relu") is None


@pytest.mark.parametrize(
    ("body", "deepest"), [(Residual, "conv2"), (PreAct, "conv2"), (InPlace, "conv2")]
)
def test_the_deepest_convolution_is_no_shortcut(body: type[nn.Module], deepest: str) -> None:
    assert deepest_convolution(graph_of(body())) == deepest


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (Residual, ["conv1", "conv2"]),
        (PreAct, ["stem", "conv1", "conv2"]),
        (Plain, ["conv1", "conv2"]),
        (nn.Flatten, []),
    ],
)
def test_the_main_path_goes_through_the_most_convolutions(
    body: type[nn.Module], path: list[str]
) -> None:
    assert main_path(graph_of(body())) == path


def test_no_convolution_no_deepest() -> None:
    assert deepest_convolution(graph_of(nn.Linear(2, 2))) is None
