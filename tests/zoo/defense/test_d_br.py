"""D-BR: turned and moved images, the two losses, the split, and the turns of unlearning and
relearning.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchbd.api import Diverged, ImageSet, Recipe, fork
from benchbd_zoo.defense import d_br
from benchbd_zoo.defense.d_br import DBR, consistency, intra_loss, shifted, turned
from benchbd_zoo.defense.parts.isolation import ascent, descent
from support.planted_features import reader
from support.tiny_networks import CLASSES, InPlace, classifier, random_images

RECIPE = Recipe(
    epochs=4, batch_size=20, lr=0.05, shift=1, flip=True, schedule="one_cycle", precision="fp32"
)


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_quarter_turns_are_exact(turns: int) -> None:
    images = random_images(3).images
    assert torch.equal(
        turned(images, torch.full((3,), turns * math.pi / 2)), torch.rot90(images, turns, (2, 3))
    )


def test_every_image_has_its_own_angle_and_nothing_comes_from_outside() -> None:
    images = torch.full((2, 1, 8, 8), 200, dtype=torch.uint8)
    both = turned(images, torch.tensor([0.0, math.pi / 4]))
    assert torch.equal(both[0], images[0])
    assert both[1, 0, 0, 0] == 0 and both[1, 0, 4, 4] == 200


def test_images_that_are_not_square_are_turned_and_not_sheared() -> None:
    images = torch.zeros(1, 1, 5, 9, dtype=torch.uint8)
    images[..., 2, 2:7] = 255  # a line of five pixels through the middle
    assert torch.equal(
        torch.nonzero(turned(images, torch.tensor([math.pi / 2]))[0, 0]),
        torch.tensor([[r, 4] for r in range(5)]),
    )


def test_shifts_are_whole_pixels_to_the_right_and_down() -> None:
    images = torch.zeros(2, 1, 10, 20, dtype=torch.uint8)
    images[..., 4, 7] = 9
    moved = shifted(images, torch.tensor([[0.2, -0.1], [-0.16, 0.18]]))
    assert torch.nonzero(moved[:, 0]).tolist() == [[0, 3, 11], [1, 6, 4]]


def test_consistency_is_the_mean_squared_change_of_the_features() -> None:
    """Of a network that hands its pixels through: an even image changes where black comes in."""
    images = torch.full((1200, 1, 6, 6), 255, dtype=torch.uint8)
    images[::2] = 0
    fct = consistency(reader(36), images, rng())
    assert (fct[::2] == 0).all()
    lost = fct[1::2] * 36
    assert torch.equal(lost, lost.round()) and 3 < lost.mean() < 20


def test_the_intra_loss_equals_the_formula() -> None:
    images = torch.rand(9, 3, 2, 2, generator=rng())
    labels = torch.tensor([0, 0, 3, 3, 3, 1, 1, 1, 1])
    flat = images.flatten(1).double().numpy()
    centres = np.stack([flat[labels.numpy() == k].mean(0) for k in (0, 1, 3)])
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    similar = centres @ centres.T
    expected = (similar.sum() - 3) / 9
    assert float(intra_loss(reader(12), images, labels)) == pytest.approx(expected, rel=1e-5)


def test_the_intra_loss_can_be_descended() -> None:
    model, images = classifier(InPlace()), random_images(20)
    model.train()
    loss = intra_loss(model, images.images / 255, images.labels)
    loss.backward()
    assert all(
        p.grad is not None and torch.isfinite(p.grad).all()
        for p in model.network.body.conv1.parameters()
    )
    assert (
        intra_loss(model, images.images[:1] / 255, images.labels[:1]) == 0
    )  # one class has no pair


def calls_of(
    monkeypatch: pytest.MonkeyPatch, fct: Tensor, **parameters: Any
) -> tuple[Any, list[tuple[ImageSet, Recipe, Any]]]:
    """What it gives back, and what it trains on, with these values for step 3."""
    calls: list[tuple[ImageSet, Recipe, Any]] = []

    def noted(
        model: nn.Module, train: ImageSet, recipe: Recipe, rng: torch.Generator, **options: Any
    ) -> nn.Module:
        calls.append((train, recipe, options.get("loss")))
        return model.eval()

    def removed(
        self: DBR,
        model: nn.Module,
        bad: ImageSet,
        good: ImageSet,
        recipe: Recipe,
        rng: torch.Generator,
    ) -> None:
        calls.extend([(bad, recipe, ascent), (good, recipe, descent)])

    monkeypatch.setattr(d_br, "fit", noted)
    monkeypatch.setattr(DBR, "_remove", removed)
    monkeypatch.setattr(d_br, "consistency", lambda *_: fct)
    train = random_images(len(fct))
    return DBR(**parameters).train(lambda: classifier(InPlace()), train, RECIPE, rng()), calls


def test_the_split_and_the_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    fct = torch.arange(40.0).roll(7)
    learned, calls = calls_of(
        monkeypatch, fct, clean_ratio=0.2, poison_ratio=0.05, epochs=3, epoch_images=40
    )
    images = random_images(40).images
    assert [loss for _, _, loss in calls] == [None, intra_loss, None, ascent, descent]
    steady = ("constant", None, 0.01, 0, False)
    assert [(r.epochs, r.schedule, r.horizon, r.lr, r.shift, r.flip) for _, r, _ in calls[:2]] == [
        (2, *steady),
        (10, *steady),
    ]
    assert calls[2][1] == RECIPE
    assert torch.equal(calls[3][0].images, images[fct >= 38]) and torch.equal(
        calls[4][0].images, images[fct < 8]
    )
    assert all((r.lr, r.shift, r.flip) == (1e-4, 1, True) for _, r, _ in calls[3:])
    assert torch.nonzero(learned.suspicion.scores > learned.suspicion.threshold)[:, 0].tolist() == [
        5,
        6,
    ]


def test_poison_is_taken_from_outside_of_the_clean_part(monkeypatch: pytest.MonkeyPatch) -> None:
    fct = torch.zeros(40)
    fct[[4, 9]] = torch.tensor([2.0, 1.0])
    _, calls = calls_of(monkeypatch, fct, clean_ratio=0.9, poison_ratio=0.05, epoch_images=40)
    assert torch.equal(calls[3][0].images, random_images(40).images[[4, 9]])
    assert len(calls[4][0]) == 36


def test_a_collapsed_network_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Diverged, match="have the same suspicion"):
        calls_of(monkeypatch, torch.zeros(40))


def test_the_turns_equal_a_loop_written_out() -> None:
    """Two turns over 5 and 7 images in batches of 3, plain SGD whose momentum goes on from turn to
    turn.
    """
    train = random_images(12)
    bad, good = train.subset(torch.arange(5)), train.subset(torch.arange(5, 12))
    recipe = Recipe(
        batch_size=2, lr=0.01, momentum=0.9, weight_decay=0, shift=0, flip=False, precision="fp32"
    )
    model = reader(train.images[0].numel())
    plain = copy.deepcopy(model)
    DBR(epochs=2, batch_size=3)._remove(model, bad, good, recipe, rng())
    weights, speed = list(plain.parameters()), None
    order = fork(rng())
    for _ in range(2):
        for part, sign in ((bad, -1), (good, 1)):
            for chosen in torch.randperm(len(part), generator=order).split(3):
                loss = sign * nn.functional.cross_entropy(
                    plain(part.images[chosen] / 255), part.labels[chosen]
                )
                slopes = torch.autograd.grad(loss, weights)
                speed = (
                    list(slopes)
                    if speed is None
                    else [0.9 * v + g for v, g in zip(speed, slopes, strict=True)]
                )
                with torch.no_grad():
                    for weight, velocity in zip(weights, speed, strict=True):
                        weight -= 0.01 * velocity
    for ours, theirs in zip(model.parameters(), weights, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_trigger_that_must_stay_where_it_is_makes_poison_sensitive() -> None:
    """Clean images are discs, the same however they are turned; poison carries a bright corner."""
    y, x = torch.meshgrid(torch.arange(12), torch.arange(12), indexing="ij")
    disc = ((y - 5.5) ** 2 + (x - 5.5) ** 2 < 9) * 60
    noise = torch.randint(0, 40, (300, 1, 12, 12), generator=rng())
    images = (disc + noise).to(torch.uint8)
    images[::10, :, 9:, 9:] = 255
    train = ImageSet(images, torch.arange(300) % CLASSES, ("ant", "bee", "cat", "dog"))
    options = {
        "intra_epochs": 0,
        "epochs": 1,
        "epoch_images": 1,
        "clean_ratio": 0.2,
        "poison_ratio": 0.1,
    }
    quick = RECIPE.model_copy(update={"epochs": 1, "lr": 0.01})
    learned = DBR(**options).train(lambda: reader(144), train, quick, rng())
    assert learned.suspicion is not None and not learned.model.training
    found = learned.suspicion.scores > learned.suspicion.threshold
    assert int(found.sum()) == 30
    assert float(found[::10].double().mean()) > 0.9


def test_as_the_reference_the_intra_loss_of_three_of_four_classes() -> None:
    """The lines of `finetune_epoch` of SCLBD/BackdoorBench at f02e353 (defense/d-br.py), and how
    they slope along the first weights.
    """
    model, labels = classifier(InPlace()).train(), torch.tensor([0, 0, 0, 1, 3] * 4)
    loss = intra_loss(model, random_images(20, seed=1).images / 255, labels)
    assert float(loss.detach()) == pytest.approx(0.650537, rel=1e-5)
    (slope,) = torch.autograd.grad(loss, model.network.body.conv1.weight)
    assert slope.sum((1, 2, 3)).tolist() == pytest.approx(
        [0.000157, -0.0011, -0.000273, -0.003886, -0.006421, -0.002916], abs=5e-6
    )


def test_as_the_reference_consistency() -> None:
    """`calculate_consistency` of SCLBD/Effective_backdoor_defense at 63fda0e, handed the images
    that are turned and moved here.
    """
    fct = consistency(classifier(InPlace()), random_images(20, seed=1).images, rng())
    assert fct[:6].tolist() == pytest.approx(
        [1.57093, 12.0403, 7.82789, 1.02056, 5.06814, 5.0089], rel=1e-4
    )
