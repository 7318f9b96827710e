"""Blended injection: the mixture, its rounding, and the three sources of the picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchbd.data.images import ImageSet
from benchbd.errors import ConfigError, NotApplicable
from benchbd_zoo.attack.blended import Blended


def stamped(attack: Blended, images: ImageSet) -> np.ndarray[Any, Any]:
    return attack.apply(attack.stamp, images.images, images.labels, torch.Generator()).numpy()


@pytest.mark.parametrize("pattern", ["picture", "noise"])
@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 8, 8), (3, 12, 20)])
def test_every_pixel_is_the_rounded_mixture(
    prepared: Any, images_of: Any, pattern: str, shape: tuple[int, int, int]
) -> None:
    images = images_of(*shape)
    attack = prepared(Blended.from_text(pattern=pattern), images)
    picture = attack.trigger["pattern"].numpy().astype(np.float64)
    assert picture.shape == shape
    np.testing.assert_array_equal(
        stamped(attack, images), np.rint(0.8 * images.images.numpy() + 0.2 * picture)
    )


def test_halves_are_rounded_to_even() -> None:
    images = ImageSet(
        torch.tensor([1, 3, 5, 0], dtype=torch.uint8).reshape(1, 1, 1, 4),
        torch.tensor([0]),
        ("ant",),
    )
    attack = Blended(alpha=0.5).with_trigger(
        {"pattern": torch.tensor([0, 0, 2, 255], dtype=torch.uint8).reshape(1, 1, 4)}
    )
    assert stamped(attack, images).flatten().tolist() == [0, 2, 4, 128]


def test_the_weight_spans_from_nothing_to_the_picture_alone(
    prepared: Any, images: ImageSet
) -> None:
    np.testing.assert_array_equal(
        stamped(prepared(Blended(alpha=0), images), images), images.images
    )
    whole = prepared(Blended(alpha=1), images)
    np.testing.assert_array_equal(
        stamped(whole, images), whole.trigger["pattern"].expand(60, -1, -1, -1)
    )


def test_noise_is_drawn_once_from_the_seed(prepared: Any, images_of: Any) -> None:
    images = images_of(3, 64, 64, count=3)
    first, again, other = (
        prepared(Blended(pattern="noise"), images, seed).trigger["pattern"] for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert (first != other).float().mean() > 0.98
    levels = first.double()
    assert 125 < levels.mean() < 130
    assert abs(levels.std() - 255 / 12**0.5) < 2
    assert (int(first.min()), int(first.max())) == (0, 255)


def test_a_file_is_resized_bilinearly(prepared: Any, images_of: Any, tmp_path: Path) -> None:
    path = tmp_path / "ramp.png"
    Image.fromarray(np.array([[(0, 10, 7), (100, 30, 7)]], dtype=np.uint8)).save(path)
    pattern = prepared(Blended(image=path, pattern="noise"), images_of(3, 2, 4)).trigger["pattern"]
    assert pattern.tolist() == [[[0, 25, 75, 100]] * 2, [[10, 15, 25, 30]] * 2, [[7, 7, 7, 7]] * 2]


def test_a_colour_file_turns_grey_for_grey_images(
    prepared: Any, images_of: Any, tmp_path: Path
) -> None:
    path = tmp_path / "red.png"
    Image.new("RGB", (5, 5), (200, 0, 0)).save(path)
    pattern = prepared(Blended(image=path), images_of(1, 8, 8)).trigger["pattern"]
    assert pattern.shape == (1, 8, 8)
    assert set(pattern.flatten().tolist()) == {60}


def test_a_missing_file_is_named(prepared: Any, images: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"blended: image: cannot read .*gone\.png: .*; replace it"
    ):
        prepared(Blended(image=tmp_path / "gone.png"), images)


def test_a_picture_does_not_fit_two_channels_but_noise_does(prepared: Any, images_of: Any) -> None:
    with pytest.raises(NotApplicable, match="1 or 3 channels, these images have 2"):
        prepared(Blended(), images_of(2, 8, 8))
    assert prepared(Blended(pattern="noise"), images_of(2, 8, 8)).trigger["pattern"].shape == (
        2,
        8,
        8,
    )


def test_all_to_all_gives_every_class_the_next(
    prepared: Any, images: ImageSet, rng: torch.Generator
) -> None:
    poisoned = prepared(Blended(label_mode="all_to_all"), images).poison(images, rng)
    np.testing.assert_array_equal(
        poisoned.labels, np.array([1, 2, 0])[poisoned.indices.numpy() % 3]
    )


def test_as_the_reference_mixes(counted: Any) -> None:
    """`poison_transform` of vtu81/backdoor-toolbox at 9d4d909 (poison_tool_box/blend.py), alpha
    0.2: row 9 of blue.
    """
    values = torch.arange(3 * 16 * 16) * 91 % 256
    attack = Blended().with_trigger({"pattern": values.reshape(3, 16, 16).to(torch.uint8)})
    found = attack.stamp(counted(1, 3, 16, 16), torch.zeros(1), torch.Generator())[0, 2, 9, :8]
    reference = [176, 223.8, 66.8, 63.4, 111.2, 159, 155.6, 203.4]
    np.testing.assert_allclose(found, reference, atol=1e-3)
