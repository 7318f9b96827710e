"""CLP: the constant by hand, the pairs by the graph, a planted channel."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from benchbd.api import CleanSet, NotApplicable, Repaired
from benchbd.engine.classifier import Classifier
from benchbd.plugin.registry import create
from benchbd_zoo.defense.clp import CLP, lipschitz_constants, pairs
from support.by_formula import wide_by_formula
from support.tiny_networks import (
    Branching,
    InPlace,
    Network,
    Plain,
    PreAct,
    Residual,
    Tokens,
    Wide,
    classifier,
    random_images,
)

CLEAN = CleanSet(random_images(8, seed=1), random_images(20, seed=2))


def repaired(model: nn.Module, **parameters: float) -> Repaired:
    return CLP(**parameters).repair(model, CLEAN, torch.Generator())


class ConvNorm(nn.Module):
    """Two channels in, two out, kernels of 1x2: channel 0 is diag(3, 1), channel 1 is [[3, 4], [0,
    0]].
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 2, (1, 2), bias=False), nn.BatchNorm2d(2, eps=0.75)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([[[3.0, 0], [0, 1]], [[3, 4], [0, 0]]])[:, :, None])
            self.norm.weight.copy_(torch.tensor([-2.0, 1]))
            self.norm.running_var.copy_(torch.tensor([0.25, 3.25]))

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))  # type: ignore[no-any-return]


def test_the_constant_by_hand_with_eps_under_the_root() -> None:
    # singular values 3 and 5; scales 2 / sqrt(0.25 + 0.75) and 1 / sqrt(3.25 + 0.75)
    torch.testing.assert_close(
        lipschitz_constants(ConvNorm(), "conv", "norm"),
        torch.tensor([6.0, 2.5], dtype=torch.float64),
    )


def test_as_the_reference_prunes() -> None:
    """`CLP` of rkteddy/channel-Lipschitzness-based-pruning at 5209c83 (defense.py), run on the same
    network: its constants, which leave eps out, and the channels that it zeroes by u.
    """
    constants = [
        *(1.375, 1.793, 1.500, 1.601, 1.875, 1.430, 1.455, 1.631),
        *(1.747, 3.231, 1.275, 1.103, 3.784, 3.053, 3.693, 2.385),
    ]
    zeroed = {0: [9, 12, 13, 14, 15], 0.5: [9, 12, 13, 14], 1: [9, 12, 13, 14], 1.5: [12, 14]}
    result = repaired(wide_by_formula())
    assert result.tensors["lipschitz.network.body.norm"].tolist() == pytest.approx(
        constants, abs=1e-3
    )
    assert result.sweep is not None
    path = result.sweep.path
    for u, channels in zeroed.items():
        pruned = path.pruned(path.values.index(u))
        assert sorted(pruned["network.body.norm"]) == channels


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (Residual, {"conv1": "bn1", "conv2": "bn2"}),
        (PreAct, {"conv1": "bn2"}),
        (InPlace, {"conv1": "bn1", "conv2": "bn2"}),
    ],
)
def test_pairs_follow_the_graph(body: type[nn.Module], expected: dict[str, str]) -> None:
    """By order of registration the norm of a pre-activation block would be paired with the
    convolution before the block.
    """
    found = pairs(classifier(body()))
    assert {
        conv.rpartition(".")[2]: norm.rpartition(".")[2] for conv, norm in found.items()
    } == expected


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("resnet_small", 9),
        ("preact_resnet18", 8),
        ("vgg19_bn", 16),
        ("timm:mobilenetv2_035", 52),
        ("torchvision:mobilenet_v2", 52),
    ],
)
def test_erratum_pairs_of_known_networks(name: str, count: int) -> None:
    """Every pair is one of layers that were made for each other; in a pre-activation block that is
    conv1 and bn2 alone.
    """
    model = create("model", name, {}).restore(4, (3, 32, 32), (0.5,) * 3, (0.2,) * 3)  # type: ignore[attr-defined]
    found = pairs(model)
    assert len(found) == count
    if name == "preact_resnet18":
        assert all(conv.replace("conv1", "bn2") == norm for conv, norm in found.items())
    for conv, norm in found.items():
        assert len(model.get_parameter(f"{conv}.weight")) == len(
            model.get_parameter(f"{norm}.weight")
        )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (Plain, "no convolution .* BatchNorm"),
        (Tokens, "no convolution .* BatchNorm"),
        (Branching, "traced"),
    ],
)
def test_where_it_does_not_apply(body: type[nn.Module], reason: str) -> None:
    with pytest.raises(NotApplicable, match=reason):
        repaired(classifier(body()))


@pytest.mark.slow
def test_a_vision_transformer_is_an_answer() -> None:
    model = create("model", "timm:vit_tiny_patch16_224", {}).restore(
        4, (3, 32, 32), (0.5,) * 3, (0.2,) * 3
    )  # type: ignore[attr-defined]
    with pytest.raises(NotApplicable, match="no convolution"):
        repaired(model)


def planted() -> Classifier:
    """Sixteen alike channels, of which one is ten times as sensitive."""
    torch.manual_seed(0)
    model = Classifier(Network(Wide(), width=16), (0.0,) * 3, (1.0,) * 3).eval()
    with torch.no_grad():
        model.network.body.conv.weight[11] *= 10
        model.network.body.norm.bias.fill_(0.3)
    return model


def test_a_planted_channel_is_pruned_alone() -> None:
    model = planted()
    result = repaired(model)
    assert result.sweep is not None
    assert result.sweep.path.pruned(result.sweep.chosen) == {"network.body.norm": [11]}
    assert result.sweep.path.values[result.sweep.chosen] == 3
    assert (result.notes["pruned"], result.notes["of"]) == (1, 16)
    changed = [
        name
        for name, value in result.model.named_parameters()
        if not torch.equal(value, model.get_parameter(name))
    ]
    assert changed == ["network.body.norm.weight", "network.body.norm.bias"]
    norm = result.model.get_submodule("network.body.norm")
    assert (norm.weight[11].item(), norm.bias[11].item()) == (0, 0)  # type: ignore[operator]


def test_nothing_depends_on_the_clean_images() -> None:
    first = repaired(planted()).model.state_dict()
    other = CLP().repair(
        planted(), CleanSet(random_images(4, seed=8), random_images(4, seed=9)), torch.Generator()
    )
    assert all(torch.equal(value, other.model.state_dict()[name]) for name, value in first.items())


def test_the_sweep_goes_down_in_u() -> None:
    sweep = repaired(planted()).sweep
    assert sweep is not None and sweep.validation_acc is not None
    assert sweep.path.values == tuple(10 - 0.5 * step for step in range(21))
    assert len(sweep.validation_acc) == 21
