"""BELT: the patch and its holes, who is changed, and the distance from the centres."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import Recipe, Trained, to_float
from benchbd.data.images import ImageSet
from benchbd.data.poisoned import State
from benchbd_zoo.attack import belt
from benchbd_zoo.attack.belt import BELT, CentreLoss


@pytest.mark.parametrize(
    ("side", "place"),
    [(32, slice(2, 8)), (8, slice(0, 3)), (16, slice(1, 4)), (224, slice(14, 56))],
)
def test_test_images_get_the_whole_patch(
    prepared: Any, images_of: Any, rng: torch.Generator, side: int, place: slice
) -> None:
    images: ImageSet = images_of(3, side, side, count=4)
    attack = prepared(BELT(), images)
    stamped = attack.apply(attack.stamp, images.images, images.labels, rng)
    expected = images.images.clone()
    expected[:, :, place, place] = attack.trigger["patch"]
    assert torch.equal(stamped, expected)


def trained(
    monkeypatch: pytest.MonkeyPatch, attack: BELT, images: ImageSet
) -> tuple[Trained, ImageSet]:
    """What `train` gives, and the set that it hands to the training loop, which is not run."""
    seen: list[ImageSet] = []
    monkeypatch.setattr(belt, "fit", lambda model, train, *_, **__: seen.append(train))
    rng = torch.Generator().manual_seed(0)
    return attack.train(nn.Linear(1, 1), images, Recipe(), rng), seen[0]


def test_cover_images_lack_a_share_of_the_patch_each_another_one(
    monkeypatch: pytest.MonkeyPatch, prepared: Any, images_of: Any
) -> None:
    dark = images_of(3, 32, 32)
    dark = ImageSet(torch.zeros_like(dark.images), dark.labels, dark.class_names)
    attack = BELT(target=1, poison_ratio=0.5, cover_rate=0.4)
    attack = attack.with_trigger({"patch": torch.full((3, 6, 6), 200, dtype=torch.uint8)})
    answer, _ = trained(monkeypatch, attack, dark)
    poisoned = answer.poisoned
    assert poisoned is not None
    cover = poisoned.states == State.COVER
    assert (int(cover.sum()), int((~cover).sum())) == (12, 18)  # of 60
    shown = (poisoned.images[:, 0] == 200).sum((1, 2))
    assert set(shown[~cover].tolist()) == {36}
    assert set(shown[cover].tolist()) == {29}  # int(0.2 * 36) are missing
    assert len(poisoned.images[cover].unique(dim=0)) == 12
    assert torch.equal(poisoned.labels[cover], dark.labels[poisoned.indices[cover]])
    assert set(poisoned.labels[~cover].tolist()) == {1}


def test_the_training_loop_is_told_who_is_changed(
    monkeypatch: pytest.MonkeyPatch, prepared: Any, images: ImageSet
) -> None:
    answer, seen = trained(monkeypatch, prepared(BELT(poison_ratio=0.3), images), images)
    assert answer.poisoned is not None
    changed = torch.nonzero(seen.labels >= images.num_classes)[:, 0]
    assert torch.equal(changed, answer.poisoned.indices)
    given = answer.poisoned.as_seen()
    assert torch.equal(seen.labels % images.num_classes, given.labels)
    assert torch.equal(seen.images, given.images)


def test_as_the_reference_measures_the_distance() -> None:
    """`CenterLoss` of JSun20220909/BELT at d67df2a (BadNet_BELT.py), two batches of eight."""
    loss = CentreLoss(4, BELT(), Recipe())
    given = torch.tensor([0, 1, 2, 0, 1, 2, 3, 3])
    changed = torch.tensor([0, 0, 0, 0, 1, 1, 0, 1], dtype=torch.bool)
    for speed, reference in ((1.3, 7.761987686157227), (2.3, 9.1893892288208)):
        features = 4 * torch.sin(torch.arange(40.0) * speed).reshape(8, 5)
        assert loss.distance(features, given, changed).item() == pytest.approx(reference, rel=1e-5)
    reference_centre = [-0.0265, 0.0773, -0.0026, -0.0502, 0.0083]
    assert loss.centres is not None
    np.testing.assert_allclose(loss.centres[1], reference_centre, atol=1e-4)


def test_without_changed_images_it_is_the_cross_entropy(images: ImageSet, build_for: Any) -> None:
    model = build_for(images).eval()
    pixels, labels = to_float(images.images[:10]), images.labels[:10]
    loss: Tensor = CentreLoss(3, BELT(), Recipe())(model, pixels, labels)
    assert loss.item() == pytest.approx(F.cross_entropy(model(pixels), labels).item(), rel=1e-5)
