"""Adap-Patch: one faint patch of four in training, two opaque ones at test time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from benchbd.data.images import ImageSet
from benchbd.data.poisoned import State
from benchbd.errors import ConfigError
from benchbd_zoo.attack.adaptive_patch import AdaptivePatch

SHAPES = [(3, 16, 16), (1, 8, 8), (3, 12, 20), (3, 32, 32), (3, 224, 224)]


# Pixels and bounding boxes (first and last row, first and last column) of the authors' pictures:
# Unispac/Circumventing-Backdoor-Defenses at e7c0703, triggers/. Its config.py names for test images
# phoenix_corner2_32.png, which it lacks; in vtu81/backdoor-toolbox at 9d4d909 it has 50 pixels, the
# phoenix in both lower corners.
PLACES = {
    "ring": (25, (27, 31, 27, 31)),
    "moon": (140, (1, 13, 18, 30)),
    "checkerboard": (36, (0, 31, 0, 31)),
    "stripes": (64, (21, 28, 21, 28)),
}


def test_sizes_and_places_are_those_of_the_authors(prepared: Any, images_of: Any) -> None:
    trigger = prepared(AdaptivePatch(), images_of(3, 32, 32, count=3)).trigger
    for mask, (count, box) in zip(trigger["masks"][:, 0], PLACES.values(), strict=True):
        rows, columns = torch.nonzero(mask).T
        assert int(mask.sum()) == count
        assert tuple(map(int, (rows.min(), rows.max(), columns.min(), columns.max()))) == box
    corners = torch.zeros(32, 32)
    corners[[[0], [1], [2], [29], [30], [31]], [0, 1, 2, 29, 30, 31]] = 1
    assert torch.equal(trigger["masks"][2, 0], corners)
    lower = trigger["test_masks"][0, 0]
    assert lower.sum() == 50 and lower[27:, :5].all() and lower[27:, 27:].all()
    assert torch.equal(trigger["test_masks"][1:], trigger["masks"][1:])


@pytest.mark.parametrize("shape", SHAPES)
def test_patches_are_as_large_a_part_of_any_image(
    prepared: Any, images_of: Any, shape: tuple[int, int, int]
) -> None:
    trigger = prepared(AdaptivePatch(), images_of(*shape, count=3)).trigger
    assert set(trigger["masks"].unique().tolist()) == {0, 1}
    least = min(shape[1:])
    for mask, (count, _) in zip(trigger["masks"], PLACES.values(), strict=True):
        wanted = count * (least / 32) ** 2
        # a side is a whole number of pixels, two at least
        assert abs(float(mask.sum()) - wanted) <= max(16, 2 * wanted**0.5)


@pytest.mark.parametrize("shape", SHAPES)
def test_training_images_get_one_faint_patch_in_turn(
    prepared: Any, images_of: Any, shape: tuple[int, int, int]
) -> None:
    images = images_of(*shape, count=8)
    attack = prepared(AdaptivePatch(), images)
    patches, masks = (
        attack.trigger[name].numpy().astype(np.float64) for name in ("patches", "masks")
    )
    before = images.images.numpy().astype(np.float64)
    stamped = attack.apply(
        attack.stamp_poison, images.images, images.labels, torch.Generator()
    ).numpy()
    for place, opacity in enumerate((0.5, 0.2, 0.5, 0.3) * 2):
        expected = before[place] + opacity * masks[place % 4] * (patches[place % 4] - before[place])
        clear = abs(expected % 1 - 0.5) > 1e-4
        np.testing.assert_array_equal(stamped[place][clear], np.rint(expected)[clear])
        np.testing.assert_allclose(stamped[place], expected, atol=0.5001)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("names", [("ring", "checkerboard"), ("moon", "stripes")])
def test_test_images_get_two_opaque_ones(
    prepared: Any, images_of: Any, shape: tuple[int, int, int], names: tuple[str, str]
) -> None:
    images = images_of(*shape, count=4)
    attack = prepared(AdaptivePatch(test_patches=names), images)
    expected = images.images.numpy().copy()
    for number in [("ring", "moon", "checkerboard", "stripes").index(name) for name in names]:
        where = np.broadcast_to(attack.trigger["test_masks"][number].numpy() == 1, shape)
        expected[:, where] = attack.trigger["patches"][number].numpy()[where]
    np.testing.assert_array_equal(
        attack.apply(attack.stamp, images.images, images.labels, torch.Generator()), expected
    )


def test_poisoned_and_cover_samples_are_divided_equally(
    prepared: Any, images_of: Any, rng: torch.Generator
) -> None:
    images = images_of(3, 16, 16, count=600)
    attack = prepared(
        AdaptivePatch(poison_ratio=0.2, cover_ratio=0.4, opacities=(1, 1, 1, 1)), images
    )
    poisoned = attack.poison(images, rng)
    assert (poisoned.count(State.POISONED), poisoned.count(State.COVER)) == (120, 240)
    changed = (poisoned.images != images.images[poisoned.indices]).any(1)
    masks = attack.trigger["masks"][:, 0]
    alone = (masks == 1) & (masks.sum(0) == 1)  # the patches share some pixels
    which = (changed[:, None] & alone).flatten(2).any(2)
    for state, each in ((State.POISONED, 30), (State.COVER, 60)):
        assert which[poisoned.states == state].sum(0).tolist() == [each] * 4
    true = images.labels[poisoned.indices]
    assert torch.equal(poisoned.labels, torch.where(poisoned.states == State.POISONED, 0, true))


def test_the_default_rates_are_those_of_cifar10() -> None:
    poisoned, cover = AdaptivePatch().choose(
        torch.arange(50_000) % 10, 10, torch.Generator().manual_seed(0)
    )
    assert (len(poisoned), len(cover)) == (150, 300)


def test_opacities_beyond_one_are_refused(prepared: Any, images: ImageSet) -> None:
    with pytest.raises(
        ConfigError, match=r"expected opacities from 0 to 1, got \[0.5, 2.0, 0.5, 0.3\]"
    ):
        prepared(AdaptivePatch(opacities=(0.5, 2, 0.5, 0.3)), images)
    with pytest.raises(ConfigError, match="expected test_patches"):
        AdaptivePatch.from_text(test_patches="[sun]")
