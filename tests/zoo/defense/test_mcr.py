"""MCR: the curve by hand, its end points, statistics, the choice of t."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchbd.api import CleanSet, Repaired, accuracy
from benchbd.engine.classifier import Classifier
from benchbd_zoo.defense.mcr import MCR, Curve, gather_statistics
from support.by_formula import images_by_formula, wide_by_formula
from support.tiny_networks import InPlace, Network, Plain, Tokens, classifier, random_images

CLEAN = CleanSet(random_images(40, seed=1), random_images(20, seed=2))


def repaired(model: nn.Module, **parameters: Any) -> Repaired:
    options = {"epochs": 2, "ft_epochs": 2, "batch_size": 16, "shift": 0, "t_num": 5} | parameters
    return MCR(**options).repair(model, CLEAN, torch.Generator().manual_seed(0))


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


def curve(first: nn.Module, last: nn.Module) -> Curve:
    return Curve(first, last, torch.Generator().manual_seed(0))


def test_the_ends_are_the_two_networks() -> None:
    first, last = classifier(InPlace(), seed=1), classifier(InPlace(), seed=2)
    between = curve(first, last)
    for bend in between.bends:
        nn.init.normal_(bend, std=9)
    for t, end in ((0.0, first), (1.0, last)):
        assert same(dict(between.at(t).named_parameters()), dict(end.named_parameters()))


def test_points_between_by_hand() -> None:
    first, last = classifier(Plain(), seed=1), classifier(Plain(), seed=2)
    with torch.no_grad():
        for network, value in ((first, 4.0), (last, 8.0)):
            for parameter in network.parameters():
                parameter.fill_(value)
        between = curve(first, last)
        assert all((bend == 6).all() for bend in between.bends)
        for bend in between.bends:
            bend.fill_(-1.0)
    # at 1/4: 9/16 * 4 + 6/16 * -1 + 1/16 * 8
    torch.testing.assert_close(
        between.at(0.25).get_parameter("network.head.weight").unique().item(), 2.375
    )


@pytest.mark.parametrize(
    ("t", "bias", "logits"),
    [
        (0.3, [-0.5000, -0.1777, 0.2846, -0.1231], [-0.3459, 0.0473, 0.8043, 0.0783]),
        (0.7, [-0.5000, -0.1577, 0.3246, -0.0631], [-0.2008, 0.5205, 0.5077, 0.3917]),
    ],
)
def test_as_the_reference_weighs_ends_and_bend(
    t: float, bias: list[float], logits: list[float]
) -> None:
    """`CurveNet` and `update_bn` of IBM/model-sanitization at 1eff7e9 (backdoor/backdoor-cifar:
    curves.py, utils.py), run with three bends made of the same networks and 40 images in one batch:
    the bias of the head at t, and the logits of the first image.
    """
    first, bend, last = (wide_by_formula(offset) for offset in (0, 9, 5))
    along, images = curve(first, last), images_by_formula(40).images
    with torch.no_grad():
        for point, value in zip(along.bends, bend.parameters(), strict=True):
            point.copy_(value)
    network = along.at(t)
    gather_statistics(network, images)
    assert network.get_parameter("network.head.bias").tolist() == pytest.approx(bias, abs=1e-4)
    assert network(images[:1] / 255)[0].tolist() == pytest.approx(logits, abs=1e-3)


def test_training_moves_the_bend_alone() -> None:
    model = classifier(InPlace())
    before = copy.deepcopy(model.state_dict())
    result = repaired(model, ft_epochs=0)  # then both ends are the network that was handed in
    assert same(before, model.state_dict())
    sweep = result.sweep
    assert sweep is not None and sweep.path.values == (0, 0.25, 0.5, 0.75, 1)
    for step in (0, 4):
        assert same(
            dict(sweep.path.at(model, step).named_parameters()), dict(model.named_parameters())
        )
    assert not torch.equal(
        sweep.path.at(model, 2).get_parameter("network.head.weight"), model.head.weight
    )


def test_without_any_training_the_curve_is_a_point() -> None:
    model = classifier(Tokens())  # without BatchNorm there are no statistics to change
    result = repaired(model, epochs=0, ft_epochs=0)
    for name, value in result.model.state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[name])


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3, momentum=0.3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.flatten(1))  # type: ignore[no-any-return]


def test_statistics_are_those_of_all_images() -> None:
    model = Classifier(Network(Normed(), width=3), (0.0,), (1.0,))
    images = torch.randint(
        0, 256, (200, 1, 1, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    gather_statistics(model.train(), images)
    norm, pixels = model.network.body.norm, images.flatten(1) / 255
    torch.testing.assert_close(norm.running_mean, pixels.mean(0))
    torch.testing.assert_close(norm.running_var, pixels.var(0))
    assert norm.momentum == 0.3 and not any(module.training for module in model.modules())


def test_statistics_are_gathered_at_every_place_and_come_again() -> None:
    model = classifier(InPlace())
    sweep = repaired(model).sweep
    assert sweep is not None and sweep.validation_acc is not None
    for step in range(len(sweep.path)):
        network = sweep.path.at(model, step)
        twin = copy.deepcopy(network)
        gather_statistics(twin, CLEAN.train.images)
        assert same(twin.state_dict(), network.state_dict())
        assert same(sweep.path.at(model, step).state_dict(), network.state_dict())
        reached = accuracy(network, CLEAN.validation.images, CLEAN.validation.labels)
        assert sweep.validation_acc[step] == reached and not network.training


VALUES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@pytest.mark.parametrize(
    ("accuracies", "chosen"),
    [
        ((0.9, 0.9, 0.9, 0.9, 0.9, 0.9), 2),
        ((0.9, 0.85, 0.7, 0.9, 0.9, 0.9), 1),
        ((0.9, 0.5, 0.9, 0.9, 0.9, 0.9), 0),
        ((0.9, 0.95, 0.81, 0.1, 0.1, 0.9), 2),
    ],
)
def test_t_goes_towards_the_middle_while_accuracy_stays(
    accuracies: tuple[float, ...], chosen: int
) -> None:
    # 0.81 is nine tenths of 0.9
    assert MCR(acc_ratio=0.1)._choose(VALUES, accuracies) == chosen


def test_a_given_t_is_taken_whatever_it_costs() -> None:
    result = repaired(classifier(InPlace()), test_t=0.1, acc_ratio=0)
    assert result.sweep is not None and result.sweep.path.values == (0, 0.1, 0.25, 0.5, 0.75, 1)
    assert (result.sweep.chosen, result.notes) == (1, {"t": 0.1})
    assert same(result.sweep.path.at(nn.Identity(), 1).state_dict(), result.model.state_dict())


def test_same_generator_same_networks() -> None:
    first, second = (repaired(classifier(InPlace()), shift=1, flip=True) for _ in range(2))
    assert same(first.model.state_dict(), second.model.state_dict())
