"""BppAttack: levels, dithering against a scan of our own, and negative samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from benchbd.data.images import ImageSet
from benchbd_zoo.attack.bpp import Bpp, dithered

Array = np.ndarray[Any, Any]

SHAPES = [(1, 8, 8), (3, 16, 16), (3, 12, 20), (3, 20, 9), (1, 1, 5), (1, 5, 1)]


def levelled(values: Array, levels: int) -> Array:
    """The nearest level of each value, found by looking at all of them."""
    scale = np.linspace(0, 255, levels)
    nearest: Array = scale[abs(np.asarray(values)[..., None] - scale).argmin(-1)]
    return nearest


def scanned(image: Array, levels: int) -> Array:
    """Floyd and Steinberg over one image (C, H, W), a pixel at a time."""
    channels, height, width = image.shape
    result = image.astype(np.float64)
    for channel in range(channels):
        for y in range(height):
            for x in range(width):
                old = result[channel, y, x]
                new = float(levelled(np.array(old), levels))
                result[channel, y, x] = new
                for down, right, share in ((0, 1, 7), (1, -1, 3), (1, 0, 5), (1, 1, 1)):
                    if y + down < height and 0 <= x + right < width:
                        result[channel, y + down, x + right] += (old - new) * share / 16
    return result


def stamped(attack: Bpp, images: ImageSet) -> Array:
    pixels: Array = attack.apply(
        attack.stamp, images.images, images.labels, torch.Generator()
    ).numpy()
    return pixels


@pytest.mark.slow
@pytest.mark.parametrize("levels", [2, 5, 8, 256])
def test_without_dithering_every_pixel_takes_the_nearest_level(
    images: ImageSet, levels: int
) -> None:
    attack = Bpp(squeeze_num=levels, dithering=False)
    np.testing.assert_array_equal(
        stamped(attack, images), np.rint(levelled(images.images.numpy(), levels))
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("levels", [2, 8])
def test_dithering_is_a_scan_over_pixels(
    images_of: Any, shape: tuple[int, int, int], levels: int
) -> None:
    images = images_of(*shape, count=3)
    expected = np.stack([scanned(image, levels) for image in images.images.numpy()])
    np.testing.assert_allclose(dithered(images.images, levels), expected, atol=0.001)
    np.testing.assert_array_equal(stamped(Bpp(squeeze_num=levels), images), np.rint(expected))


@pytest.mark.parametrize("dithering", [True, False])
def test_at_most_eight_levels_are_left(images: ImageSet, dithering: bool) -> None:
    found = set(stamped(Bpp(dithering=dithering), images).ravel().tolist())
    assert found == {0, 36, 73, 109, 146, 182, 219, 255}


def test_dithering_keeps_brightness_where_rounding_loses_it() -> None:
    grey = ImageSet(torch.full((1, 1, 64, 64), 52, dtype=torch.uint8), torch.tensor([0]), ("ant",))
    assert stamped(Bpp(dithering=False), grey).mean() == 36
    assert stamped(Bpp(), grey).mean() == pytest.approx(52, abs=0.7)


def test_many_images_are_dithered_a_block_at_a_time(
    monkeypatch: pytest.MonkeyPatch, images: ImageSet
) -> None:
    whole = dithered(images.images, 8)
    monkeypatch.setattr("benchbd_zoo.attack.bpp._BLOCK", 3 * 16 * 16 * 7)
    assert torch.equal(dithered(images.images, 8), whole)
    assert dithered(images.images[:0], 8).shape == (0, 3, 16, 16)


@pytest.mark.parametrize("dithering", [True, False])
def test_a_batch_is_poisoned_then_negative_then_clean(
    handed_to_fit: Any, images: ImageSet, dithering: bool
) -> None:
    attack = Bpp(target=2, poison_ratio=0.19, neg_rate=0.3, dithering=dithering)
    batch, labels = images.images[:32], images.labels[:32]
    before = batch.clone()
    edited, given = handed_to_fit(attack, images, batch=32)["edit"](batch, labels)
    differs = (edited != batch).flatten(1).any(1)
    np.testing.assert_array_equal(edited[:6], stamped(attack, images)[:6])
    assert differs.tolist() == [True] * 15 + [False] * 17
    assert given.tolist() == [2] * 6 + labels[6:].tolist()
    assert torch.equal(batch, before)


@pytest.mark.slow
@pytest.mark.parametrize("dithering", [True, False])
def test_negative_samples_carry_the_residual_of_an_image_of_the_training_set(
    handed_to_fit: Any, images: ImageSet, dithering: bool
) -> None:
    attack = Bpp(dithering=dithering)
    edited, _ = handed_to_fit(attack, images)["edit"](images.images[:20], images.labels[:20])
    originals = images.images.numpy().astype(np.float64)
    quantised = [scanned(image, 8) if dithering else levelled(image, 8) for image in originals]
    residuals = np.stack(quantised) - originals
    possible = np.rint(np.clip(originals[4:8, None] + residuals, 0, 255))
    matches = (abs(edited[4:8].numpy()[:, None] - possible) <= 0).all((2, 3, 4))
    assert matches.sum(1).tolist() == [1] * 4
    assert len(set(matches.argmax(1).tolist())) > 1


def test_residuals_are_drawn_anew_for_every_batch_from_the_seed(
    handed_to_fit: Any, images: ImageSet
) -> None:
    batch = images.images[:20], images.labels[:20]
    edit, again, other = (handed_to_fit(Bpp(), images, seed=seed)["edit"] for seed in (0, 0, 1))
    first, second = edit(*batch)[0], edit(*batch)[0]
    assert torch.equal(first[:4], second[:4])
    assert not torch.equal(first[4:8], second[4:8])
    assert torch.equal(again(*batch)[0], first)
    assert not torch.equal(other(*batch)[0], first)


def test_all_to_all_gives_poisoned_images_the_next_class(
    handed_to_fit: Any, images: ImageSet
) -> None:
    edit = handed_to_fit(Bpp(label_mode="all_to_all", neg_rate=0), images)["edit"]
    edited, given = edit(images.images[:20], images.labels[:20])
    assert given.tolist() == [1, 2, 0, 1, *images.labels[4:20].tolist()]
    assert torch.equal(edited[4:], images.images[4:20])


def test_errata_triggered_images_leave_out_the_target_class(
    images: ImageSet, rng: torch.Generator
) -> None:
    """The authors' code scores all test images; those of the target class would count
    as successes.
    """
    triggered = Bpp(target=1).triggered(images, rng)
    assert len(triggered) == 40
    assert not (triggered.true_labels == 1).any()


def test_below_one_image_a_batch_some_batches_have_one(
    handed_to_fit: Any, images: ImageSet
) -> None:
    edit = handed_to_fit(Bpp(target=2, poison_ratio=0.02, neg_rate=0.02), images)["edit"]
    batch, labels = images.images[:20], torch.zeros(20, dtype=torch.int64)
    quantised, changes = stamped(Bpp(), images)[0], []
    for _ in range(100):
        edited, given = edit(batch, labels)
        changes.append(int((edited != batch).flatten(1).any(1).sum()))
        assert given.tolist() in ([0] * 20, [2] + [0] * 19)
        if given[0] == 2:
            np.testing.assert_array_equal(edited[0], quantised)
    assert set(changes) == {0, 1, 2}
    assert np.mean(changes) == pytest.approx(0.8, abs=4 * (2 * 0.4 * 0.6 / 100) ** 0.5)


def test_as_the_reference_dithers(counted: Any) -> None:
    """`floydDitherspeed` of RU-System-Software-and-Security/BppAttack at f6b6580 (bppattack.py)
    with 8 levels: a row of each colour.
    """
    found = dithered(counted(1, 3, 8, 8), 8)[0].round()
    assert found[0, 0].tolist() == [0, 36, 73, 109, 146, 182, 219, 0]
    assert found[1, 5].tolist() == [0, 36, 109, 109, 182, 182, 255, 0]
    assert found[2, 7].tolist() == [146, 182, 219, 0, 36, 73, 109, 146]
