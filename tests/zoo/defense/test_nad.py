"""NAD: its loss against the formula, its teacher and schedule, and where it says that it does not
apply.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import CleanSet, ConfigError, NotApplicable, Recipe, Repaired, fit
from benchbd.engine.classifier import Classifier
from benchbd.engine.hardware import default_precision
from benchbd_zoo.defense.nad import NAD, _Distillation
from support.by_formula import images_by_formula, network_by_formula
from support.tiny_networks import Network, Tokens, classifier, random_images

CLEAN = CleanSet(random_images(24, seed=1), random_images(8, seed=2))


class Halving(nn.Module):
    """Maps of 6x6, 3x3 and 2x2, in place."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = (
            nn.Conv2d(3, 4, 3, 1, 1),
            nn.Conv2d(4, 5, 3, 2, 1),
            nn.Conv2d(5, 6, 3, 2, 1),
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.three(self.relu(self.two(self.relu(self.one(x)))))).mean((2, 3))  # type: ignore[no-any-return]


def repaired(model: Classifier, **parameters: Any) -> Repaired:
    options = {
        "epochs": 1,
        "te_epochs": 1,
        "batch_size": 32,
        "lr": 0.01,
        "shift": 0,
        "epoch_images": 1,
    } | parameters
    return NAD(**options).repair(model, CLEAN, torch.Generator().manual_seed(0))


def test_the_loss_is_the_formula() -> None:
    teacher, student, batch = classifier(Halving(), 1), classifier(Halving(), 2), random_images(8)
    images, betas = (
        batch.images / 255,
        {"network.body.one": 5.0, "network.body.two": 10.0, "network.body.three": 20.0},
    )

    def maps(model: Classifier) -> list[Any]:
        x = (images - model.mean) / model.std
        found = []
        for name in betas:
            x = F.conv2d(
                x,
                *model.get_submodule(name).parameters(),
                stride=1 if name.endswith("one") else 2,
                padding=1,
            )
            squares = x.detach().double().pow(2).sum(1).flatten(1).numpy()
            found.append(squares / np.linalg.norm(squares, axis=1, keepdims=True))
            x = x.relu()
        return found

    expected = float(F.cross_entropy(student(images), batch.labels).detach())
    expected += sum(
        beta * ((a - b) ** 2).mean()
        for beta, a, b in zip(betas.values(), maps(student), maps(teacher), strict=True)
    )
    loss = _Distillation(teacher, betas, 2.0)(student, images, batch.labels)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-4)
    loss.backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(parameter.grad is not None for parameter in student.parameters())


def test_as_the_reference_weighs_attention() -> None:
    """`train_step` of bboylyg/NAD at f17b713 (main.py, with `AT` of at.py), run with its weights on
    the same two networks and 40 images: the whole loss, of which the labels make 1.41.
    """
    student, teacher = (network_by_formula(Halving(), 6, offset) for offset in (0, 5))
    weights = {"network.body.one": 500.0, "network.body.two": 1000.0, "network.body.three": 1000.0}
    images = images_by_formula(40)
    loss = _Distillation(teacher, weights, 2.0)(student, images.images / 255, images.labels)
    assert float(loss.detach()) == pytest.approx(140.7393, rel=1e-4)


def test_the_last_three_stages_have_their_weights() -> None:
    assert repaired(classifier(Halving())).notes["layers"] == {
        "network.body.one": 500.0,
        "network.body.two": 1000.0,
        "network.body.three": 1000.0,
    }


def test_named_layers_are_compared_instead() -> None:
    assert repaired(classifier(Tokens()), layers=("mix",), beta3=7.0).notes["layers"] == {
        "network.body.mix": 7.0
    }


def test_a_student_that_starts_at_its_teacher_only_follows_the_labels() -> None:
    """An untuned teacher has the student's own maps: the distance is zero, and so is
    its gradient.
    """
    with default_precision("fp32"):
        drawn, plain = (
            repaired(classifier(Halving()), te_epochs=0, **betas).model.state_dict()
            for betas in ({}, {"beta1": 0.0, "beta2": 0.0, "beta3": 0.0})
        )
    assert all(torch.allclose(value, plain[name], atol=1e-4) for name, value in drawn.items())


@pytest.mark.slow
@pytest.mark.parametrize(("beta", "closer"), [(0.0, False), (200.0, True)])
def test_the_student_comes_to_look_where_its_teacher_looks(beta: float, closer: bool) -> None:
    teacher, student, images = classifier(Halving(), 1), classifier(Halving(), 2), CLEAN.train
    layers = ["network.body.one", "network.body.two"]

    def distance() -> float:
        x, y = images.images / 255, images.labels
        whole = _Distillation(teacher, dict.fromkeys(layers, 1.0), 2.0)(student, x, y)
        return float((whole - F.cross_entropy(student(x), y)).detach())

    before = distance()
    recipe = Recipe(
        epochs=60,
        batch_size=24,
        lr=0.003,
        weight_decay=0.0,
        schedule="constant",
        shift=0,
        precision="fp32",
    )
    fit(
        student,
        images,
        recipe,
        torch.Generator(),
        loss=_Distillation(teacher, dict.fromkeys(layers, beta), 2.0),
    )
    assert (distance() < 0.5 * before) is closer


def test_the_learning_rate_falls_to_a_tenth() -> None:
    assert [NAD(lr_epochs=2)._rate(step, 3) for step in (0, 5, 6, 50)] == [1.0, 1.0, 0.1, 0.1]


def test_no_stages_is_an_answer_that_says_what_is_there() -> None:
    with pytest.raises(
        NotApplicable, match=r"never changes, so it has no stages \(maps: 6x6 at network.body.bn2\)"
    ):
        repaired(Classifier(Network(_Same()), (0.4,) * 3, (0.2,) * 3))


class _Same(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn2 = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv(x)).mean((2, 3))  # type: ignore[no-any-return]


def test_a_layer_without_a_map_is_refused_with_the_stages() -> None:
    with pytest.raises(
        ConfigError,
        match=r"'network.head'.*it gave \(1, 4\); stages here: network.body.one, network.body.two",
    ):
        repaired(classifier(Halving()), layers=("head",))
    with pytest.raises(
        ConfigError, match=r"no layer named 'tow'; convolutions here: body.one, body.two"
    ):
        repaired(classifier(Halving()), layers=("tow",))


def test_same_generator_same_student() -> None:
    first, second = (
        repaired(classifier(Halving()), shift=1, flip=True).model.state_dict() for _ in range(2)
    )
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_the_teacher_is_a_copy() -> None:
    model = classifier(Halving())
    before = copy.deepcopy(model.state_dict())
    student = repaired(model, epochs=0).model
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())
    assert all(parameter.requires_grad for parameter in student.parameters())
