"""IBD-PSC: scaled models against copies that were scaled by hand, where scaling starts, thresholds
and a planted trigger.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchbd.api import CleanSet, ImageSet, NotApplicable, predict
from benchbd.defense.case import Case
from benchbd.engine.hardware import default_precision, hardware
from benchbd.engine.inference import EVAL_BATCH
from benchbd.measure.detection import separation
from benchbd.testing import tiny_data
from benchbd_zoo.defense.ibd_psc import IBDPSC, batch_norms
from support.tiny_networks import Plain, Residual, Tokens, classifier, random_images


@pytest.fixture(autouse=True)
def exact() -> Any:
    with default_precision("fp32"):
        yield


class Norms(nn.Module):
    """Three BatchNorm layers that run in another order than that in which they are registered;
    features (N, 6).
    """

    def __init__(self) -> None:
        super().__init__()
        self.last, self.first, self.middle = nn.BatchNorm2d(6), nn.BatchNorm2d(3), nn.BatchNorm2d(6)
        self.one, self.two = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.two(self.middle(self.one(self.first(x))).relu())).relu().mean((2, 3))  # type: ignore[no-any-return]


BODY = "network.body."


def labelled(model: nn.Module, seed: int = 0, count: int = 30) -> ImageSet:
    images = random_images(count, seed)
    return ImageSet(images.images, predict(model, images.images), images.class_names)


def clean_of(model: nn.Module) -> CleanSet:
    return CleanSet(labelled(model, 1), labelled(model, 2))


def by_hand(model: nn.Module, layers: list[str], factor: float = 1.5) -> nn.Module:
    changed = copy.deepcopy(model)
    with torch.no_grad():
        for layer in layers:
            changed.get_submodule(layer).weight.mul_(factor)  # type: ignore[union-attr, operator]
            changed.get_submodule(layer).bias.mul_(factor)  # type: ignore[union-attr, operator]
    return changed


def test_layers_in_the_order_in_which_they_run() -> None:
    assert batch_norms(classifier(Norms()), random_images(2).images) == [
        BODY + name for name in ("first", "middle", "last")
    ]


@pytest.mark.parametrize(("n", "depths"), [(1, [2]), (2, [2, 3]), (4, [2, 3, 3, 3])])
def test_the_score_is_the_formula(n: int, depths: list[int]) -> None:
    """With xi = 0, scaling starts behind the first layer that costs an image its class."""
    model = classifier(Norms(), seed=3)
    clean, images = clean_of(model), random_images(7, seed=5).images
    order = [BODY + name for name in ("first", "middle", "last")]
    assert (predict(by_hand(model, order[-1:]), clean.train.images) != clean.train.labels).any()
    given = predict(model, images)
    p = [
        by_hand(model, order[-depth:])(images / 255).softmax(1)[torch.arange(7), given]
        for depth in depths
    ]
    found = IBDPSC(n=n, xi=0.0).fit(model, clean, torch.Generator()).score(images)
    torch.testing.assert_close(found, torch.stack(p).mean(0).detach())


def test_scaling_starts_where_the_error_exceeds_xi() -> None:
    model = classifier(Norms(), seed=3)
    clean = clean_of(model)
    order = [BODY + name for name in ("first", "middle", "last")]
    errors = [
        float(
            (predict(by_hand(model, order[-k:]), clean.train.images) != clean.train.labels)
            .double()
            .mean()
        )
        for k in (1, 2, 3)
    ]
    for xi in (0.0, errors[0], 1.0):
        expected = next((k for k, error in enumerate(errors, 1) if error > xi), 3)
        assert IBDPSC(xi=xi)._start(model, order, clean) == expected


class Chain(nn.Sequential):
    """Eight norms that run in the order in which they are registered; features (N, 6)."""

    def __init__(self) -> None:
        widths = (3, *[6] * 7)
        layers = (
            layer for k in widths for layer in (nn.Conv2d(k, 6, 1), nn.BatchNorm2d(6), nn.Tanh())
        )
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def test_as_the_reference_finds_the_start_and_the_consistency() -> None:
    """`IBD_PSC.prob_start` and `_test` of THUYimingLi/BackdoorBox at af3afd1
    (core/defenses/IBD_PSC.py), with n = 3 and xi = .3: it starts behind five layers.
    """
    model = classifier(Chain(), seed=4)
    clean, images = clean_of(model), random_images(6, seed=5).images
    detector = IBDPSC(n=3, xi=0.3)
    assert detector._start(model, batch_norms(model, images), clean) == 5
    expected = torch.tensor([0.253201, 0.163836, 0.438586, 0.493467, 0.432145, 0.214047])
    found = detector.fit(model, clean, torch.Generator()).score(images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_model_handed_in_stays() -> None:
    model = classifier(Residual())
    before = copy.deepcopy(model.state_dict())
    IBDPSC().fit(model, clean_of(model), torch.Generator()).score(random_images(4).images)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class PlantedImages(nn.Module):
    """Features: a constant that grows with the trigger, and the tint, through four norms that take
    .26 off the first.

    The constant is 1 - 4 * .26 < 0 as it is, and ahead of all tints when weights and biases are
    multiplied.
    """

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength
        self.norms = nn.Sequential(*(nn.BatchNorm1d(6) for _ in range(4)))

    def forward(self, x: Tensor) -> Tensor:
        first = 1 + self.strength * (x[:, :, 0, 0].mean(1, keepdim=True) - 0.9).relu()
        return self.norms(torch.cat([first, x.mean((2, 3)), 0 * x[:, :2, 0, 0]], 1))  # type: ignore[no-any-return]


def planted(strength: float) -> nn.Module:
    """Classes 1 to 3 by the tint, class 0 by the constant."""
    model = classifier(PlantedImages(strength))
    weights = {
        "mean": 0.0,
        "std": 1.0,
        "weight": 1.0,
        "running_mean": 0.0,
        "running_var": 1.0,
        "bias": 0.0,
    }
    with torch.no_grad():
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            if value.is_floating_point():
                value.fill_(weights[name.rpartition(".")[2]])
        for norm in model.network.body.norms:
            norm.bias[0] = -0.26
        model.head.weight.copy_(20 * torch.eye(4, 6))
    return model


@pytest.mark.parametrize(("strength", "told"), [(10.0, True), (0.0, False)])
def test_a_planted_trigger_stays_and_clean_images_do_not(strength: float, told: bool) -> None:
    good = (random_images(60, seed=8).images // 16 + 40).to(torch.uint8)
    bad = good.clone()
    bad[:, :, 0, 0] = 255
    model = planted(strength)
    assert bool((predict(model, bad) == 0).all()) is told
    clean = ImageSet(good, predict(model, good), ("a", "b", "c", "d"))
    judge = IBDPSC().fit(model, CleanSet(clean, clean), torch.Generator())
    assert (separation(judge.score(good), judge.score(bad))["auroc"] == 1) is told


def test_without_batch_norm_it_does_not_apply() -> None:
    for body in (Plain(), Tokens()):
        with pytest.raises(
            NotApplicable, match="no BatchNorm layer whose weight and bias could be scaled"
        ):
            IBDPSC().fit(
                classifier(body), CleanSet(random_images(8), random_images(8)), torch.Generator()
            )


@pytest.mark.slow
@pytest.mark.parametrize("T", [0.0, 0.9])
def test_a_given_threshold_is_honoured(T: float) -> None:
    """Errata: on every input, not on those of the first batch."""
    attack = tiny_data.attack_result()
    case = Case(attack, hardware("cpu"), "ibd_psc", attack.clean_budget(0.2))
    outcome = IBDPSC(T=T).respond(case)
    assert outcome.detection is not None and outcome.detection["threshold"] == T
    expected = (
        IBDPSC()
        .fit(attack.model, case.clean(None, None), torch.Generator())
        .score(attack.test.images)
        > T
    )
    assert outcome.clean_rejected is not None and torch.equal(outcome.clean_rejected, expected)


def test_there_is_a_score_for_every_input_in_order() -> None:
    model = classifier(Residual())
    judge, images = (
        IBDPSC().fit(model, clean_of(model), torch.Generator()),
        random_images(EVAL_BATCH + 44, seed=6).images,
    )
    whole = judge.score(images)
    assert whole.shape == (len(images),)
    torch.testing.assert_close(torch.cat([judge.score(part) for part in images.split(37)]), whole)
