"""Adap-Blend: pieces left out in training, the whole picture at test time, and who covers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from benchbd.data.images import ImageSet
from benchbd.data.poisoned import State
from benchbd.errors import ConfigError, NotApplicable
from benchbd_zoo.attack.adaptive_blend import AdaptiveBlend

Array = np.ndarray[Any, Any]


def pieces_kept(
    before: Array, after: Array, picture: Array, alpha: float, side: int
) -> list[list[bool]]:
    """For an image and its poisoned version (C, H, W): which pieces are mixed and which are as they
    were.
    """
    kept = []
    height, width = before.shape[1:]
    for row in range(side):
        line = []
        for column in range(side):
            here = np.s_[
                :,
                row * height // side : (row + 1) * height // side,
                column * width // side : (column + 1) * width // side,
            ]
            mixed = np.rint(before[here] + alpha * (picture[here] - before[here]))
            is_kept = bool((after[here] == mixed).all())
            assert is_kept or (after[here] == before[here]).all()
            line.append(is_kept)
        kept.append(line)
    return kept


@pytest.mark.parametrize(
    ("shape", "pieces"), [((3, 16, 16), 16), ((1, 8, 8), 16), ((3, 32, 48), 4)]
)
def test_half_of_the_pieces_are_left_out_of_each_training_image(
    prepared: Any, images_of: Any, shape: tuple[int, int, int], pieces: int
) -> None:
    images = images_of(*shape)
    attack = prepared(AdaptiveBlend(alpha=0.5, pieces=pieces), images)
    picture = attack.trigger["pattern"].numpy().astype(np.float64)
    stamped = attack.apply(
        attack.stamp_poison, images.images, images.labels, torch.Generator().manual_seed(0)
    ).numpy()
    before = images.images.numpy().astype(np.float64)
    side = round(pieces**0.5)
    masks = np.array(
        [pieces_kept(*pair, picture, 0.5, side) for pair in zip(before, stamped, strict=True)]
    )
    assert (masks.sum((1, 2)) == pieces // 2).all()
    assert len(np.unique(masks, axis=0)) > (20 if pieces == 16 else 4)
    assert 0.25 < masks.mean(0).min() <= masks.mean(0).max() < 0.75


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 8, 8), (3, 12, 20), (3, 224, 224)])
def test_test_images_get_the_whole_picture(
    prepared: Any, images_of: Any, shape: tuple[int, int, int]
) -> None:
    images = images_of(*shape, count=3)
    attack = prepared(AdaptiveBlend(alpha_test=0.25), images)
    picture = attack.trigger["pattern"].numpy().astype(np.float64)
    stamped = attack.apply(attack.stamp, images.images, images.labels, torch.Generator())
    np.testing.assert_array_equal(stamped, np.rint(0.75 * images.images.numpy() + 0.25 * picture))


def test_any_share_of_the_pieces_can_be_left_out(
    prepared: Any, images: ImageSet, rng: torch.Generator
) -> None:
    whole = prepared(AdaptiveBlend(mask_rate=0, alpha=0.2), images)
    given = images.images, images.labels
    assert torch.equal(
        whole.apply(whole.stamp_poison, *given, rng), whole.apply(whole.stamp, *given, rng)
    )
    quarter = prepared(AdaptiveBlend(mask_rate=0.25, alpha=1), images)
    mixed = (
        (quarter.apply(quarter.stamp_poison, *given, rng) == quarter.trigger["pattern"])
        .float()
        .mean()
    )
    assert mixed == pytest.approx(0.75, abs=0.01)


def test_poisoned_and_cover_samples_come_from_all_classes(
    prepared: Any, images: ImageSet, rng: torch.Generator
) -> None:
    poisoned = prepared(AdaptiveBlend(target=1, poison_ratio=0.4, cover_ratio=0.5), images).poison(
        images, rng
    )
    is_poison = poisoned.states == State.POISONED
    assert (poisoned.count(State.POISONED), poisoned.count(State.COVER)) == (24, 30)
    assert (
        set((poisoned.indices[is_poison] % 3).tolist())
        == set((poisoned.indices[~is_poison] % 3).tolist())
        == {0, 1, 2}
    )
    assert poisoned.labels[is_poison].tolist() == [1] * 24
    assert torch.equal(poisoned.labels[~is_poison], poisoned.indices[~is_poison] % 3)


def test_the_default_rates_are_those_of_cifar10() -> None:
    poisoned, cover = AdaptiveBlend().choose(
        torch.arange(50_000) % 10, 10, torch.Generator().manual_seed(0)
    )
    assert (len(poisoned), len(cover)) == (150, 150)
    assert not set(poisoned.tolist()) & set(cover.tolist())


def test_pieces_that_do_not_make_a_square_are_refused(prepared: Any, images: ImageSet) -> None:
    with pytest.raises(
        ConfigError, match="expected pieces to be a square number such as 9, got 15"
    ):
        prepared(AdaptiveBlend(pieces=15), images)
    with pytest.raises(NotApplicable, match="images of 16x16 cannot be cut into 17x17 pieces"):
        prepared(AdaptiveBlend(pieces=17**2), images)


def test_as_the_reference_blends(monkeypatch: pytest.MonkeyPatch, counted: Any) -> None:
    """`poison_transform`, and the mixture of `poison_generator` under the pieces that
    `get_trigger_mask` drew, of Unispac/Circumventing-Backdoor-Defenses at e7c0703
    (poison_tool_box/adaptive_blend.py): row 5 of green.
    """
    images, labels, rng = counted(1, 3, 16, 16), torch.zeros(1), torch.Generator()
    kept = torch.tensor([[1.0, 1, 0, 1], [0, 0, 0, 1], [0, 1, 1, 0], [1, 0, 1, 0]])
    monkeypatch.setattr(
        AdaptiveBlend, "_mask", lambda *_: kept.repeat_interleave(4, 0).repeat_interleave(4, 1)
    )
    values = torch.arange(3 * 16 * 16) * 91 % 256
    attack = AdaptiveBlend().with_trigger({"pattern": values.reshape(3, 16, 16).to(torch.uint8)})
    np.testing.assert_allclose(
        attack.stamp(images, labels, rng)[0, 1, 5, :8],
        [137.6, 185.4, 182, 229.8, 72.8, 69.4, 117.2, 165],
        atol=1e-3,
    )
    np.testing.assert_allclose(
        attack.stamp_poison(images, labels, rng)[0, 1, 5, 8:],
        [184, 221, 2, 39, 91.6, 98.3, 143.4, 188.5],
        atol=1e-3,
    )
