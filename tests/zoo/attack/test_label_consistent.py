"""Label-Consistent: the pattern, the ascent, and that only target-class images are made hard."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchbd.api import Recipe, clean_model, to_float
from benchbd.data.images import ImageSet
from benchbd.data.poisoned import State
from benchbd.errors import NotApplicable
from benchbd_zoo.attack.label_consistent import LabelConsistent, corner_pattern, hardened

Quick = dict[str, Any]


def by_hand(height: int, width: int, four: bool) -> np.ndarray[Any, Any]:
    """Rows -1, -2, -3 of the block, each read at columns -1, -2, -3; above, in the same order from
    top to bottom, as in poison_attack.py of MadryLab/label-consistent-backdoor-code at b18d8ab.
    """
    pattern = np.zeros((height, width))
    for row, line in enumerate(("WBW", "BWB", "WBB"), start=1):
        for column, letter in enumerate(line, start=1):
            value = 1 if letter == "W" else -1
            pattern[-row, -column] = value
            if four:
                pattern[-row, column - 1] = value
                pattern[3 - row, -column] = pattern[3 - row, column - 1] = value
    return pattern


@pytest.mark.parametrize(("height", "width"), [(8, 8), (6, 6), (16, 16), (12, 20), (224, 224)])
@pytest.mark.parametrize("four", [True, False])
def test_the_pattern(height: int, width: int, four: bool) -> None:
    np.testing.assert_array_equal(
        corner_pattern(height, width, all_corners=four), by_hand(height, width, four)
    )


@pytest.mark.parametrize(
    ("corners", "amplitude"), [("all", 1.0), ("all", 32 / 255), ("bottom_right", 0.5)]
)
def test_test_images_get_the_clipped_pattern_alone(
    images: ImageSet, rng: torch.Generator, corners: str, amplitude: float
) -> None:
    pattern = corner_pattern(16, 16, all_corners=corners == "all")
    attack = LabelConsistent.from_text(
        corners=corners, reduced_amplitude=str(amplitude)
    ).with_trigger({"pattern": pattern})
    expected = np.rint(
        (images.images.numpy() + 255 * amplitude * by_hand(16, 16, corners == "all")).clip(0, 255)
    )
    np.testing.assert_array_equal(
        attack.apply(attack.stamp, images.images, images.labels, rng), expected
    )


def test_mirroring_leaves_the_pattern_as_it_is() -> None:
    pattern = corner_pattern(10, 14, all_corners=True)
    assert torch.equal(pattern, pattern.flip(1))


def test_the_ascent_follows_the_sign_of_the_slope_within_eps(
    images: ImageSet, rng: torch.Generator
) -> None:
    """Of a linear network two steps can be reckoned by hand, for the sign of the slope does not
    change.
    """
    linear = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 3))
    with torch.no_grad():
        linear[1].weight.copy_(1e-3 * torch.randn(3, 768, generator=rng))
        linear[1].bias.zero_()
    labels = torch.ones(60, dtype=torch.int64)
    logits = linear(to_float(images.images)).detach().double().numpy()
    share = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    weight = linear[1].weight.detach().double().numpy()
    slope = (share @ weight - weight[1]).reshape(60, 3, 16, 16)
    expected = (images.images.numpy() + 6 * np.sign(slope)).clip(0, 255)
    clear = abs(slope) > 1e-5
    np.testing.assert_array_equal(
        hardened(linear, images.images, labels, 8 / 255, 3 / 255, 2).numpy()[clear], expected[clear]
    )
    far = (
        hardened(linear, images.images, labels, 8 / 255, 3 / 255, 9).short() - images.images.short()
    )
    assert far.abs().max() == 8


def test_hard_images_are_harder_for_the_surrogate(build_for: Any, images: ImageSet) -> None:
    recipe = Recipe(epochs=1, batch_size=20, precision="fp32")
    model = clean_model(build_for(images), images, recipe)
    hard = hardened(model, images.images, images.labels, 8 / 255, 1.5 / 255, 10)
    losses = [
        F.cross_entropy(model(to_float(given)), images.labels, reduction="none")
        for given in (images.images, hard)
    ]
    assert (losses[1] > losses[0]).double().mean() > 0.95
    assert (hard.short() - images.images.short()).abs().max() <= 8


def test_poisoned_samples_are_hard_target_images_with_the_pattern(
    prepared: Any, images: ImageSet, rng: torch.Generator
) -> None:
    attack = prepared(LabelConsistent(target=1, steps=3, reduced_amplitude=0.2), images)
    poisoned = attack.poison(images, rng)
    assert poisoned.count(State.POISONED) == 16
    assert (poisoned.indices % 3 == 1).all()
    assert torch.equal(poisoned.as_seen().labels, images.labels)
    hard = {
        int(place): image
        for place, image in zip(
            attack.trigger["places"], attack.trigger["hard"].numpy(), strict=True
        )
    }
    assert sorted(hard) == [place for place in range(60) if place % 3 == 1]
    for place, image in zip(poisoned.indices.tolist(), poisoned.images.numpy(), strict=True):
        np.testing.assert_array_equal(
            image, (hard[place] + 51.0 * by_hand(16, 16, True)).clip(0, 255)
        )
        assert abs(hard[place].astype(int) - images.images[place].numpy()).max() in (1, 2, 3, 4, 5)


def test_without_steps_the_images_are_those_of_the_class(prepared: Any, images: ImageSet) -> None:
    attack = prepared(LabelConsistent(steps=0), images)
    assert torch.equal(attack.trigger["hard"], images.images[::3])


def test_hard_images_are_not_stored_with_the_result() -> None:
    assert LabelConsistent.unstored == {"hard", "places"}


def test_images_too_small_for_the_corners() -> None:
    with pytest.raises(
        NotApplicable, match="blocks of 3x3 pixels do not fit into the corners of images of 5x8"
    ):
        corner_pattern(5, 8, all_corners=True)
    assert corner_pattern(3, 3, all_corners=False).shape == (3, 3)


class Curved(torch.nn.Module):
    """Four logits of an image of 3x4x4 by waves, whose slopes change their signs on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Parameter(torch.sin(torch.arange(384.0)).reshape(8, 48))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        outer = 3 * torch.cos(torch.arange(32.0) * 1.3).reshape(4, 8)
        return (2 * images.flatten(1) @ self.inner.T).tanh() @ outer.T


def test_as_the_reference_makes_images_hard(monkeypatch: pytest.MonkeyPatch, counted: Any) -> None:
    """`PGD` of THUYimingLi/BackdoorBox at af3afd1 (core/utils/torchattacks/attacks/pgd.py), five
    steps of 3 within 8 levels and no random start: what red of the first and blue of the second
    image gain.
    """
    monkeypatch.setenv("BENCHBD_PRECISION", "fp32")
    images = counted(2, 3, 4, 4)
    hard = hardened(Curved(), images, torch.tensor([1, 2]), 8 / 255, 3 / 255, 5)
    gained = hard.short() - images.short()
    assert gained[0, 0].tolist() == [[8, -3, -8, -8], [3, 8, 8, 2], [-8, -8, -8, 8], [8, 8, -6, -8]]
    assert gained[1, 2].tolist() == [[-8, 8, 8, 0], [-8, -8, -8, -8], [8, 8, 8, -8], [-8, -8, 8, 8]]


def test_as_the_reference_fills_all_corners() -> None:
    """`DataPoisoningAttack("all-corners", 0).poison_from_indices` of
    MadryLab/label-consistent-backdoor-code at b18d8ab (poison_attack.py) on an even grey of 100.
    """
    pattern = corner_pattern(32, 32, all_corners=True)
    attack = LabelConsistent().with_trigger({"pattern": pattern})
    grey = torch.full((1, 3, 32, 32), 100, dtype=torch.uint8)
    found = attack.apply(attack.stamp, grey, torch.zeros(1), torch.Generator())[0, 1]
    upper_left, upper_right = found[:3, :3], found[:3, -3:]
    assert upper_left.tolist() == [[255, 0, 0], [0, 255, 0], [255, 0, 255]]
    assert upper_right.tolist() == [[0, 0, 255], [0, 255, 0], [255, 0, 255]]
    assert torch.equal(found[-3:, :3], upper_left) and torch.equal(found[-3:, -3:], upper_right)
    assert (found == 100).sum() == 32 * 32 - 36
