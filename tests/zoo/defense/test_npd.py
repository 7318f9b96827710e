"""NPD: where the polarizer is put, that it begins as the identity, the perturbation and the loss by
hand.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchbd.api import CleanSet, ConfigError, ImageSet, NotApplicable, Repaired, accuracy
from benchbd.engine.classifier import Classifier
from benchbd.engine.hardware import default_precision
from benchbd.plugin.registry import create
from benchbd_zoo.defense.npd import NPD, _best_but, _Polarized, _projected, _unlikely
from support.tiny_networks import (
    Branching,
    InPlace,
    Network,
    Plain,
    PreAct,
    Residual,
    Tokens,
    classifier,
    random_images,
)

CLEAN = CleanSet(random_images(40, seed=1), random_images(10, seed=2))


def repaired(model: nn.Module, clean: CleanSet = CLEAN, **parameters: Any) -> Repaired:
    options = {"epochs": 2, "warm_epochs": 1, "batch_size": 16} | parameters
    return NPD(**options).repair(model, clean, torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("body", "layer"),
    [(Residual, "conv1"), (PreAct, "conv1"), (Plain, "conv1"), (InPlace, "conv1")],
)
def test_the_late_convolution_is_the_last_but_one(body: type[nn.Module], layer: str) -> None:
    assert NPD()._layer(classifier(body())) == f"network.body.{layer}"


def test_in_the_paper_s_network_it_is_the_first_of_the_last_block() -> None:
    model = create("model", "preact_resnet18", {"width": 4}).restore(
        4, (3, 32, 32), (0.5,) * 3, (0.2,) * 3
    )  # type: ignore[attr-defined]
    assert NPD()._layer(model) == "network.layer4.1.conv1"


def test_a_named_layer() -> None:
    assert NPD(target_layer_name="conv2")._layer(classifier(Branching())) == "network.body.conv2"
    with pytest.raises(ConfigError, match="npd: expected target_layer_name to be a convolution"):
        NPD(target_layer_name="bn1")._layer(classifier(InPlace()))


@pytest.mark.parametrize(
    ("body", "reason"), [(Tokens, "has none"), (Branching, "name one as target_layer_name")]
)
def test_where_it_does_not_apply(body: type[nn.Module], reason: str) -> None:
    with pytest.raises(NotApplicable, match=reason):
        repaired(classifier(body()))


@pytest.mark.parametrize("training", [False, True])
def test_the_polarizer_begins_as_the_identity(training: bool) -> None:
    model, images = classifier(InPlace()), CLEAN.all().images
    polarized = _Polarized(model, "network.body.conv2", images).train(training)
    with torch.no_grad():
        torch.testing.assert_close(
            polarized(images / 255), model(images / 255), rtol=1e-3, atol=1e-3
        )
    assert polarized.polarizer.training == training
    assert not any(
        module.training
        for name, module in polarized.network.named_modules()
        if "polarizer" not in name
    )


def test_statistics_stand_still_after_the_warm_up() -> None:
    polarized = _Polarized(classifier(InPlace()), "network.body.conv2", CLEAN.train.images)
    polarized.adapts = False
    assert not any(module.training for module in polarized.train().modules())


@pytest.mark.slow
def test_the_polarizer_alone_is_learned() -> None:
    model = classifier(Residual()).train()
    before = copy.deepcopy(model.state_dict())
    after = repaired(model).model.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    frozen = {name: after.pop(name.replace("body.conv1.", "body.conv1.conv.")) for name in before}
    assert all(torch.equal(value, before[name]) for name, value in frozen.items())
    assert {name.split(".")[3] for name in after} == {"polarizer"}
    assert not torch.equal(after["network.body.conv1.polarizer.0.weight"][:, :, 0, 0], torch.eye(3))


def test_perturbations_are_shortened_one_by_one() -> None:
    deltas = torch.zeros(3, 1, 2, 2)
    deltas[0, 0, 0], deltas[1, 0, 1, 1] = torch.tensor([3.0, 4]), 1
    assert _projected(deltas, 2.5)[0, 0, 0].tolist() == pytest.approx([1.5, 2.0])
    assert torch.equal(_projected(deltas, 2.5)[1:], deltas[1:])


def test_the_best_class_but_the_label() -> None:
    scores = torch.tensor([[3.0, 2, 1], [3, 2, 1], [-5, -9, -7]])
    assert _best_but(scores, torch.tensor([0, 1, 0])).tolist() == [1, 0, 2]


def test_what_is_unlikely_by_hand() -> None:
    found = _unlikely(torch.tensor([[0.7, 0.3], [0.1, 0.9]]), torch.tensor([1, 0]))
    assert found.item() == pytest.approx(-(math.log(0.7001) + math.log(0.9001)) / 2)
    assert _unlikely(torch.tensor([[0.0, 1.0]]), torch.tensor([1])).isfinite()


class Pixel(nn.Module):
    """Logits are the two pixels of an image times `weight`."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) * self.weight


IMAGES = torch.tensor([[0.8, 0.5], [0.2, 0.9]])[:, None, None]
LABELS = torch.tensor([0, 1])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"inner_steps": 1},
            [[0.7, 0.6], [0.3, 0.8]],
        ),  # one step lowers the label's pixel and raises the other
        (
            {"inner_steps": 3},
            [[0.5, 0.8], [0.5, 0.6]],
        ),  # after two steps half succeed, which is not enough
        (
            {"inner_steps": 9},
            [[0.4, 0.9], [0.6, 0.5]],
        ),  # both do after four steps, and no fifth is taken
        ({"inner_steps": 1, "adv_lr": 0.4}, [[0.4, 0.9], [0.6, 0.5]]),
        (
            {"inner_steps": 1, "trigger_norm": 0.05},
            [[0.8 - 0.05 / 2**0.5, 0.5 + 0.05 / 2**0.5], [0.2354, 0.8646]],
        ),
    ],
)
def test_perturbations_by_hand(options: dict[str, Any], expected: list[list[float]]) -> None:
    perturbed = NPD(**options)._perturbed(Pixel(1.0), IMAGES, 1 - LABELS)
    torch.testing.assert_close(perturbed.flatten(1), torch.tensor(expected), atol=1e-4, rtol=0)


def test_the_loss_by_hand() -> None:
    npd = NPD(inner_steps=1, lmd1=1, lmd2=0.3, lmd3=0.5, lmd4=0.7)
    found = npd._loss(Pixel(2.0), IMAGES, LABELS)
    expected = 0.0
    for (x, other), (pushed, pulled) in zip(
        [(0.8, 0.5), (0.9, 0.2)], [(0.7, 0.6), (0.8, 0.3)], strict=True
    ):
        wrong = 1 / (1 + math.exp(2 * (pushed - pulled)))
        expected += (
            math.log(1 + math.exp(2 * (other - x)))
            - 0.3 * math.log(1 - wrong)
            - 1.2 * math.log(1.0001 - wrong)
        )
    assert found.item() == pytest.approx(expected / 2, abs=1e-5)


class Cornered(nn.Module):
    """The first convolution splits a row of pixels into left, right and corner; the second passes
    them on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 3, (1, 3), bias=False), nn.Conv2d(3, 3, 1, bias=False)
        with torch.no_grad():
            self.conv1.weight.copy_(torch.diag(torch.tensor([4.0, 4, 9]))[:, None, None])
            self.conv2.weight.copy_(torch.eye(3)[:, :, None, None])

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv2(torch.relu(self.conv1(x)))).mean((2, 3))


@pytest.mark.slow
def test_a_planted_backdoor_is_filtered_out() -> None:
    """Class 0 is bright on the left, class 1 on the right; a grey corner makes anything class 1."""
    model = Classifier(Network(Cornered(), width=3), (0.0,), (1.0,)).eval()
    model.network.head = nn.Linear(3, 2)
    with torch.no_grad():
        model.head.weight.copy_(torch.tensor([[1.0, -1, -1], [-1, 1, 1]]))
        model.head.bias.zero_()
    images = torch.zeros(40, 1, 1, 3, dtype=torch.uint8)
    images[::2, ..., 0] = images[1::2, ..., 1] = 200
    images[..., 2] = torch.randint(0, 20, (40, 1, 1), generator=torch.Generator().manual_seed(0))
    clean = ImageSet(images, torch.arange(40) % 2, ("left", "right"))
    triggered = clean.images.clone()
    triggered[..., 2] = 110
    assert accuracy(model, triggered, clean.labels) == 0.5
    with default_precision("fp32"):
        result = repaired(
            model, CleanSet(clean, clean), epochs=50, batch_size=20, target_layer_name="conv2"
        )
    assert accuracy(result.model, triggered, clean.labels) == 1
    assert accuracy(result.model, clean.images, clean.labels) == 1


@pytest.mark.slow
def test_same_generator_same_network() -> None:
    first, second = (repaired(classifier(InPlace())).model.state_dict() for _ in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_as_the_reference_perturbations_and_loss() -> None:
    """The lines of `train_npd` of SCLBD/BackdoorBench at f02e353 (defense/npd.py) from the
    perturbation to the loss, around a network without a polarizer: the sum by which the pixels of
    four images change, the loss, and how it slopes along the bias of the head.
    """
    model, batch = classifier(InPlace()), random_images(32, seed=1)
    with torch.no_grad():
        model.head.weight.mul_(0.2)
        model.head.bias.mul_(0.2)
    npd, images = NPD(trigger_norm=0.04, adv_lr=0.005, inner_steps=3), batch.images / 255
    runner_up = _best_but(model(images).detach(), batch.labels)
    pushed = (npd._perturbed(model, images, runner_up) - images).abs().sum((1, 2, 3))
    assert pushed[:4].tolist() == pytest.approx([0.388749, 0.415693, 0.415693, 0.415692], abs=1e-5)
    loss = npd._loss(model, images, batch.labels)
    assert float(loss.detach()) == pytest.approx(2.352896, rel=1e-5)
    (slope,) = torch.autograd.grad(loss, model.head.bias)
    assert slope.tolist() == pytest.approx([-0.05926, -0.043777, -0.110663, 0.2137], abs=5e-6)
