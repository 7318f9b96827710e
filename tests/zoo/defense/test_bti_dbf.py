"""BTI-DBF: the mask on planted features, which images the generator replaces, and steps of the
authors' code.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from benchbd.api import CleanSet
from benchbd.engine.hardware import default_precision
from benchbd_zoo.defense.bti_dbf import BTIDBF, TriggerGenerator, decoupling_loss
from support.inverting import inversion, mixing, victim
from support.tiny_networks import random_images

CLEAN = CleanSet(random_images(24, seed=1), random_images(8, seed=2))


def test_a_mask_tells_benign_features_from_the_rest() -> None:
    """Two features say the class; the third is the same for all, and the head reads it, too."""
    head = nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[3.0, 0, -1], [0, 3, 1]]))
    labels = torch.tensor([0, 1, 0, 1])
    found = torch.cat([nn.functional.one_hot(labels, 2).float(), torch.ones(4, 1)], 1)
    mask = torch.full((3,), 0.5, requires_grad=True)
    (slope,) = torch.autograd.grad(decoupling_loss(head, mask, found, labels), mask)
    assert slope[0] < -0.1 and slope[1] < -0.1
    good, bad = (
        float(decoupling_loss(head, torch.tensor(values), found, labels).detach())
        for values in ([1.0, 1, 0], [0, 0, 1.0])
    )
    assert good == pytest.approx(-bad) and good < 0


@pytest.mark.parametrize(("portion", "count"), [(0.0, 1), (0.1, 2), (0.2, 4), (1.0, 16)])
def test_how_many_images_the_generator_replaces(portion: float, count: int) -> None:
    held = inversion(BTIDBF(portion=portion), mixing(), seed=0)
    images = next(iter(held.passes.once()))[0]
    changed = (held.mixed(images) != images).flatten(1).any(1)
    assert int(changed.sum()) == count


def test_a_generator_sees_normalised_images() -> None:
    model = victim()
    drawn = TriggerGenerator(nn.Identity(), model)
    images = torch.rand(2, 3, 6, 6)
    torch.testing.assert_close(drawn(images), images)
    assert float(drawn.distance(images, images + 0.1 * model.std)) == pytest.approx(0.01, rel=1e-4)


def test_the_target_is_the_class_of_most_drawn_images() -> None:
    model, net = victim(), mixing()
    with torch.no_grad():
        model.head.bias.copy_(torch.tensor([0.0, 0, 1e4, 0]))
    method = BTIDBF(mround=0, uround=0)
    held = inversion(method, net, seed=0)
    held.run(model)
    assert held.target == 2


@pytest.mark.parametrize(
    ("bound", "target", "expected"),
    [
        (0.01, None, [-0.005941, -0.005815, -0.005943]),
        (9.0, None, [-0.005856, 0.005999, 0.006011]),
        (9.0, 2, [-0.005993, -0.00596, -0.006002]),
    ],
)
def test_as_the_reference_inverting(
    bound: float, target: int | None, expected: list[float]
) -> None:
    """`reverse` of xuxiong0214/BTIDBF at e680dda (btidbfu.py), three epochs of the mask and of the
    generator: how far three of its weights move where images are too far, where they are not, and
    with a target.
    """
    held = inversion(BTIDBF(mround=3, uround=3, norm_bound=bound), mixing(), seed=5)
    held.target = target
    with default_precision("fp32"):
        held.run(victim())
    moved: Any = held.generator.net.weight - mixing().weight  # type: ignore[operator]
    assert moved[0, :, 0, 0].tolist() == pytest.approx(expected, abs=3e-5)


def test_as_the_reference_unlearning() -> None:
    """`unlearn` of xuxiong0214/BTIDBF at e680dda (btidbfu.py), three epochs: the way of the head's
    bias and where running means are.
    """
    model, method = victim(), BTIDBF(ul_round=3)
    with default_precision("fp32"):
        method._unlearn(model, method.unlearning(model), inversion(method, mixing(), seed=9))
    way = (model.head.bias - victim().head.bias).tolist()
    assert way == pytest.approx([6.0e-4, -5.968e-4, 5.855e-4, -5.994e-4], abs=2e-6)
    means = model.get_buffer("network.body.bn1.running_mean")[:3].tolist()
    assert means == pytest.approx([0.530663, -1.931435, 0.213905], abs=1e-4)


@pytest.mark.slow
def test_same_generator_same_network() -> None:
    options: dict[str, Any] = {"preround": 1, "nround": 2, "mround": 1, "uround": 1, "ul_round": 1}
    first, second = (
        BTIDBF(**options).repair(victim(), CLEAN, torch.Generator().manual_seed(0)) for _ in "ab"
    )
    assert first.notes == second.notes and first.notes["target"] in range(4)
    after = second.model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in first.model.state_dict().items())
