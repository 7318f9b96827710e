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


@pytest.mark.parametrize("shape", SHAPES)
def test_four_patches_in_four_corners(
    prepared: Any, images_of: Any, shape: tuple[int, int, int]
) -> None:
    _, height, width = shape
    masks = prepared(AdaptivePatch(), images_of(*shape, count=3)).trigger["masks"][:, 0]
    assert masks.sum(0).max() == 1
    assert set(masks.unique().tolist()) == {0, 1}
    middle = height // 2, width // 2
    quarters = [masks[:, : middle[0], : middle[1]], masks[:, : middle[0], middle[1] :]]
    quarters += [masks[:, middle[0] :, middle[1] :], masks[:, middle[0] :, : middle[1]]]
    for number, quarter in enumerate(quarters):
        assert quarter[number].sum() == masks[number].sum() > 0


def test_at_32_pixels_they_have_the_sizes_that_the_page_states(
    prepared: Any, images_of: Any
) -> None:
    trigger = prepared(AdaptivePatch(), images_of(3, 32, 32, count=3)).trigger
    spans = [
        tuple(int(1 + span.max() - span.min()) for span in torch.nonzero(mask[0]).T)
        for mask in trigger["masks"]
    ]
    assert spans == [(8, 8), (8, spans[1][1]), (4, 4), (8, 8)]
    assert trigger["patches"][2, 1, -4:, -4:].tolist() == [[255, 0, 255, 0], [0, 255, 0, 255]] * 2
    assert (trigger["masks"][3, 0, -8:, :8] == 1).all()


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
        where = np.broadcast_to(attack.trigger["masks"][number].numpy() == 1, shape)
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
    which = (changed[:, None] & (attack.trigger["masks"][:, 0] == 1)).flatten(2).any(2)
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
