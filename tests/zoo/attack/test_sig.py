"""SIG: the sinusoid, whom it is put on, and that labels stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from benchbd.data.images import ImageSet
from benchbd.data.poisoned import State
from benchbd.errors import ConfigError, NotApplicable
from benchbd_zoo.attack.sig import SIG


def wave(width: int, delta: float, f: float) -> np.ndarray[Any, Any]:
    return np.array([delta * np.sin(2 * np.pi * column * f / width) for column in range(width)])


def mid_grey(width: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.full((2, 3, 5, width), 128, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64)


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 8, 8), (3, 12, 20)])
@pytest.mark.parametrize(("delta", "f"), [(40, 6), (20, 3.5), (200, 6)])
def test_every_row_and_channel_gets_the_clipped_sinusoid(
    images_of: Any, rng: torch.Generator, shape: tuple[int, int, int], delta: float, f: float
) -> None:
    images = images_of(*shape)
    attack = SIG(delta=delta, f=f)
    expected = np.rint(np.clip(images.images.numpy() + wave(shape[2], delta, f), 0, 255))
    np.testing.assert_array_equal(
        attack.apply(attack.stamp, images.images, images.labels, rng), expected
    )


@pytest.mark.parametrize(("width", "f", "period"), [(24, 6, 4), (30, 6, 5), (32, 4, 8)])
def test_the_period_is_the_width_over_f(
    rng: torch.Generator, width: int, f: float, period: int
) -> None:
    row = SIG(f=f).stamp(*mid_grey(width), rng)[0, 0, 0].short()
    np.testing.assert_array_equal(row[period:], row[:-period])
    assert all((row[shift:] - row[:-shift]).abs().max() > 5 for shift in range(1, period))


def test_the_amplitude_is_delta_on_the_scale_to_255(rng: torch.Generator) -> None:
    assert SIG().stamp(*mid_grey(24), rng)[1, 2, 4, :4].tolist() == [128, 168, 128, 88]


def test_test_images_may_get_another_amplitude(rng: torch.Generator) -> None:
    attack = SIG(delta=20, delta_test=60)
    assert SIG(delta=20, delta_test=0).stamp(*mid_grey(24), rng).unique().tolist() == [128]
    assert attack.stamp(*mid_grey(24), rng).max() == 188
    assert attack.stamp_poison(*mid_grey(24), rng).max() == 148


def test_four_fifths_of_the_target_class_are_poisoned_and_keep_their_label(
    images: ImageSet, rng: torch.Generator
) -> None:
    poisoned = SIG(target=1).poison(images, rng)
    assert poisoned.count(State.POISONED) == 16
    assert (poisoned.indices % 3 == 1).all()
    assert torch.equal(poisoned.as_seen().labels, images.labels)
    expected = np.rint(np.clip(images.images[poisoned.indices].numpy() + wave(16, 40, 6), 0, 255))
    np.testing.assert_array_equal(poisoned.images, expected)


def test_all_of_the_class_can_be_poisoned_but_no_more(
    images: ImageSet, rng: torch.Generator
) -> None:
    assert len(SIG(poison_ratio=1.0).poison(images, rng).indices) == 20
    assert len(SIG(poison_ratio=1 / 3, ratio_of="dataset").poison(images, rng).indices) == 20
    with pytest.raises(ConfigError, match=r"sig: .* asks for 24 samples, but only 20 are eligible"):
        SIG(poison_ratio=0.4, ratio_of="dataset").poison(images, rng)


def test_only_the_target_class_is_eligible() -> None:
    with pytest.raises(ConfigError, match="sig: expected eligible"):
        SIG.from_text(eligible="non_target")


def test_the_trigger_is_scored_on_other_classes(images: ImageSet, rng: torch.Generator) -> None:
    triggered = SIG(target=1).triggered(images, rng)
    assert triggered.indices.tolist() == [place for place in range(60) if place % 3 != 1]
    assert triggered.attacked_labels.unique().tolist() == [1]


@pytest.mark.parametrize("width", [3, 4, 6, 12])
def test_a_wave_that_no_pixel_shows_does_not_apply(rng: torch.Generator, width: int) -> None:
    np.testing.assert_allclose(wave(width, 40, 6), 0, atol=1e-9)
    with pytest.raises(NotApplicable, match=f"6 periods is zero in all {width} columns"):
        SIG().stamp(*mid_grey(width), rng)


def test_as_the_reference_adds_its_wave(counted: Any, rng: torch.Generator) -> None:
    """`poison_generator` of vtu81/backdoor-toolbox at 9d4d909 (poison_tool_box/SIG.py) with its
    delta at 40/255: row 1 of red. SCLBD/BackdoorBench at f02e353 truncates the same sums.
    """
    images = counted(1, 3, 4, 32)
    found = SIG().stamp(images, torch.zeros(1, dtype=torch.int64), rng)[0, 0, 1, :12]
    reference = [160, 233.9552, 255, 0, 12, 73.6927, 154.2843, 199.9552, 200, 200.0448, 0, 70.3073]
    np.testing.assert_array_equal(found, np.rint(reference))
