"""Anti-Backdoor Learning: the held loss by hand, per batch and per sample; what is isolated,
trained on and unlearned.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchbd.api import ImageSet, Recipe, batch_sizes
from benchbd_zoo.defense import abl
from benchbd_zoo.defense.abl import ABL, sample_losses
from benchbd_zoo.defense.parts.isolation import ascent, lowest
from benchbd_zoo.defense.parts.tuning import epoch_of
from support.planted_features import pictured, reader
from support.tiny_networks import InPlace, classifier, random_images

RECIPE = Recipe(
    epochs=10, batch_size=20, lr=0.5, momentum=0, weight_decay=0, shift=0, precision="fp32"
)
LABELS = torch.tensor([0, 1, 1])
LOGITS = torch.tensor([[0.0, 0.0], [0.0, 3.0], [2.0, 0.0]])
CE = np.log([2, 1 + np.exp(-3), 1 + np.exp(2)])  # 0.693, 0.049, 2.127


class Fixed(nn.Module):
    """Answers with its parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = nn.Parameter(LOGITS.clone())

    def forward(self, images: Tensor) -> Tensor:
        return self.answer


def held(**parameters: Any) -> tuple[float, Tensor]:
    """The loss, and its gradient with respect to the logits."""
    model = Fixed()
    value = ABL(**parameters).held(model, torch.zeros(3, 1, 1, 1), LABELS)
    value.backward()
    assert model.answer.grad is not None
    return float(value.detach()), model.answer.grad


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"gradient_ascent_type": "LGA", "cap": "batch"}, CE.mean()),
        ({"gradient_ascent_type": "LGA", "cap": "batch", "gamma": 1.5}, -CE.mean()),
        ({"gradient_ascent_type": "LGA", "cap": "sample"}, (CE * [1, -1, 1]).mean()),
        ({"gradient_ascent_type": "Flooding", "cap": "batch"}, CE.mean()),
        ({"gradient_ascent_type": "Flooding", "cap": "batch", "flooding": 1.5}, 3 - CE.mean()),
        ({"gradient_ascent_type": "Flooding", "cap": "sample"}, (abs(CE - 0.5) + 0.5).mean()),
    ],
)
def test_the_held_loss_equals_the_formula(parameters: dict[str, Any], expected: float) -> None:
    assert held(**parameters)[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["LGA", "Flooding"])
def test_by_sample_only_what_lies_below_the_floor_climbs(kind: str) -> None:
    plain = (torch.softmax(LOGITS, 1) - torch.eye(2)[LABELS]) / 3
    torch.testing.assert_close(held(gradient_ascent_type=kind, cap="batch")[1], plain)
    turned = plain * torch.tensor([1.0, -1, 1])[:, None]
    torch.testing.assert_close(held(gradient_ascent_type=kind, cap="sample")[1], turned)
    torch.testing.assert_close(
        held(gradient_ascent_type=kind, cap="batch", gamma=1.0, flooding=1.0)[1], -plain
    )


def test_held_by_batch_is_the_default() -> None:
    assert ABL().cap == "batch"


def easy_and_hard() -> tuple[ImageSet, Tensor]:
    """200 samples with labels that nothing tells, 20 that a bright pixel sends to class 0."""
    rng = torch.Generator().manual_seed(0)
    features = torch.randn(220, 6, generator=rng)
    labels = torch.randint(0, 4, (220,), generator=rng)
    bad = torch.arange(220) % 11 == 0
    features[bad, 5], labels[bad] = 9.0, 0
    return pictured(features, labels), bad


@pytest.mark.parametrize("cap", ["batch", "sample"])
@pytest.mark.parametrize("kind", ["LGA", "Flooding"])
def test_what_is_learned_first_is_isolated_and_unlearned(kind: Any, cap: Any) -> None:
    train, bad = easy_and_hard()
    options = {
        "gradient_ascent_type": kind,
        "cap": cap,
        "isolation_ratio": 20 / 220,
        "tuning_epochs": 6,
    }
    learned = {
        epochs: ABL(**options, unlearning_epochs=epochs, lr_unlearning_init=0.5).train(
            lambda: reader(6), train, RECIPE, torch.Generator().manual_seed(0)
        )
        for epochs in (0, 5)
    }
    suspicion = learned[0].suspicion
    assert suspicion is not None
    assert torch.equal(suspicion.scores > suspicion.threshold, bad)
    remembered, forgotten = (
        sample_losses(learned[epochs].model, train)[bad].mean() for epochs in (0, 5)
    )
    assert remembered < 1.5 < forgotten
    assert not learned[5].model.training


def test_three_trainings_on_three_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[ImageSet, Recipe, Any]] = []

    def noted(
        model: nn.Module, train: ImageSet, recipe: Recipe, rng: torch.Generator, **options: Any
    ) -> nn.Module:
        calls.append((train, recipe, options.get("loss")))
        return model.eval()

    monkeypatch.setattr(abl, "fit", noted)
    train, _ = easy_and_hard()
    method = ABL(isolation_ratio=0.05, epoch_images=220)
    learned = method.train(lambda: reader(6), train, RECIPE, torch.Generator().manual_seed(0))
    losses = sample_losses(learned.model, train)
    kept = losses.argsort(stable=True)
    assert [len(images) for images, _, _ in calls] == [220, 209, 11]
    assert torch.equal(calls[2][0].images, train.images[kept[:11].sort().values])
    assert torch.equal(calls[1][0].labels, train.labels[kept[11:].sort().values])
    assert [loss for _, _, loss in calls] == [method.held, None, ascent]
    assert [(r.epochs, r.lr, r.schedule, r.horizon) for _, r, _ in calls] == [
        (10, 0.5, RECIPE.schedule, 10),
        (6, 0.5, RECIPE.schedule, None),  # 60 of 100
        (5, 5e-4, "constant", None),
    ]


@pytest.mark.parametrize("count", [220, 50_000])
def test_the_ascent_has_the_steps_of_the_authors(count: int) -> None:
    """bboylyg/ABL (352294593d, 8cff2fe9d0) isolates 1 % of CIFAR-10, 500 images, and passes over
    them in batches of 64: eight steps an epoch. So many there are for a smaller set, too.
    """
    method = ABL()
    poison = epoch_of(random_images(round(0.01 * count)), round(0.01 * method.epoch_images))
    recipe = method._unlearning(RECIPE)
    assert len(batch_sizes(len(poison), recipe.batch_size)) == 8 and recipe.epochs == 5


def test_the_isolated_are_unlearned_as_they_are() -> None:
    """A crop may cut the trigger away."""
    plain = ABL()._unlearning(RECIPE.model_copy(update={"shift": 4, "flip": True}))
    assert (plain.shift, plain.flip) == (0, False)


def test_the_first_training_may_have_a_rate_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []

    def noted(
        model: nn.Module, train: ImageSet, recipe: Recipe, rng: torch.Generator, **options: Any
    ) -> nn.Module:
        rates.append(recipe.lr)
        return model.eval()

    monkeypatch.setattr(abl, "fit", noted)
    ABL(lr_tuning_init=0.1).train(
        lambda: reader(6), easy_and_hard()[0], RECIPE, torch.Generator().manual_seed(0)
    )
    assert rates == [0.1, 0.5, 5e-4]


def test_losses_are_those_of_the_images_as_they_are() -> None:
    train, _ = easy_and_hard()
    model = reader(6)
    weight, bias = (
        value.detach().double().numpy() for value in (model.head.weight, model.head.bias)
    )
    scores = train.images.numpy().reshape(220, 6) / 255 @ weight.T + bias
    expected = np.log(np.exp(scores).sum(1)) - scores[np.arange(220), train.labels.numpy()]
    np.testing.assert_allclose(sample_losses(model, train), expected, rtol=1e-5)


def test_as_the_reference_what_is_isolated() -> None:
    """A fifth, by `compute_loss_value` of bboylyg/ABL at 3fd736c (backdoor_isolation.py), which
    takes one image at a time.
    """
    losses = sample_losses(classifier(InPlace()), random_images(40, seed=1))
    assert torch.nonzero(lowest(losses, 0.2))[:, 0].tolist() == [3, 7, 15, 16, 24, 25, 27, 35]
    assert losses.sort().values[1:6].tolist() == pytest.approx(
        [0.003329, 0.018979, 0.311356, 0.432572, 0.485895], rel=1e-3
    )


@pytest.mark.parametrize("kind", ["LGA", "Flooding"])
@pytest.mark.parametrize(("floor", "sign"), [(0.5, 1), (50.0, -1)])
def test_as_the_reference_one_step_above_and_below_the_floor(
    kind: Any, floor: float, sign: int
) -> None:
    """How `train_step` of bboylyg/ABL at 3fd736c (backdoor_isolation.py) moves the bias."""
    model, train = classifier(InPlace()).train(), random_images(40, seed=1)
    method = ABL(gradient_ascent_type=kind, gamma=floor, flooding=floor)
    loss = method.held(model, train.images / 255, train.labels)
    (slope,) = torch.autograd.grad(loss, model.head.bias)
    moved = [sign * move for move in (0.024868, -0.006833, 0.005536, -0.023571)]
    assert (-0.1 * slope).tolist() == pytest.approx(moved, abs=5e-6)
