"""UPGD: the perturbation and its length, and whom it is put on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchbd.data.images import ImageSet
from benchbd_zoo.attack.upgd import UPGD, passes, shortened


class Waves(nn.Module):
    """Four logits of images of 3x7x9 by waves; the weight says where it lies."""

    def __init__(self) -> None:
        super().__init__()
        self.here = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        inner = torch.sin(torch.arange(4 * 189.0) / 7).reshape(4, 189) / 5
        outer = torch.cos(torch.arange(16.0) * 1.3).reshape(4, 4)
        return (images.flatten(1) @ inner.T).sin() @ outer.T


class Brighter(Waves):
    """Class 1 where an image is bright, class 0 where it is dark."""

    def forward(self, images: Tensor) -> Tensor:
        mean = images.mean((1, 2, 3))
        return torch.stack([-mean, mean], 1)


@pytest.mark.parametrize(("target", "level"), [(1, 8), (0, -8)])
def test_it_goes_as_far_as_it_may_towards_the_target(target: int, level: int) -> None:
    images = torch.full((6, 1, 4, 4), 128, dtype=torch.uint8)
    found = UPGD(target=target, steps=5)._perturbation(Brighter(), images, 0)
    np.testing.assert_allclose(255 * found, np.full((1, 4, 4), level), rtol=1e-5)


def test_clipped_pixels_have_no_slope() -> None:
    """White images cannot grow brighter, so nothing leads to the bright class."""
    white = torch.full((6, 1, 4, 4), 255, dtype=torch.uint8)
    found = UPGD(target=1, steps=5)._perturbation(Brighter(), white, 0)
    assert (found <= 8 / 255 + 1e-6).all()


def test_l2_is_the_length_of_all_pixels() -> None:
    long = torch.tensor([3.0, 4.0]).reshape(1, 1, 2)
    np.testing.assert_allclose(shortened(long, 1.0, "l2").flatten(), [0.6, 0.8], rtol=1e-6)
    assert shortened(long, 9.0, "l2").equal(long)
    assert shortened(0 * long, 9.0, "l2").equal(0 * long)


def test_a_pass_shows_every_image_once(rng: torch.Generator) -> None:
    batches = passes(10, 4, rng)
    first, second = ([next(batches) for _ in range(3)] for _ in range(2))
    assert sorted(torch.cat(first).tolist()) == sorted(torch.cat(second).tolist()) == [*range(10)]


def test_half_of_the_target_class_carries_it_and_keeps_its_label(
    images: ImageSet, rng: torch.Generator
) -> None:
    trigger = {"perturbation": torch.full(images.image_shape, 8 / 255)}
    attack = UPGD(target=2).with_trigger(trigger)
    poisoned = attack.poison(images, rng)
    assert len(poisoned.indices) == 10  # of 20
    assert torch.equal(poisoned.as_seen().labels, images.labels)
    assert set(images.labels[poisoned.indices].tolist()) == {2}
    before = images.images[poisoned.indices].int()
    assert torch.equal(poisoned.images.int(), (before + 8).clamp(max=255))


@pytest.mark.parametrize(
    ("norm", "eps", "row", "length"),
    [
        ("linf", 8.0, [8 / 255] * 6, 0.4274502),
        ("l2", 127.5, [0.0052823, 0.0126472, 0.0197545, 0.0241743, 0.0326251, 0.0356872], 0.5),
    ],
)
def test_as_the_reference_finds_a_perturbation(
    counted: Any,
    monkeypatch: pytest.MonkeyPatch,
    norm: Any,
    eps: float,
    row: list[float],
    length: float,
) -> None:
    """`universal_target_attack` of xiaoyunxxy/parameter_backdoor at c52b0f7 (generate_upgd.py), ten
    steps on ten images: row 5 of green, and the length.
    """
    monkeypatch.setenv("BENCHBD_PRECISION", "fp32")
    attack = UPGD(target=2, norm=norm, eps=eps, steps=10)
    found = attack._perturbation(Waves(), counted(10, 3, 7, 9), 0)
    np.testing.assert_allclose(found[1, 5, :6], row, atol=1e-6)
    assert found.norm().item() == pytest.approx(length, rel=1e-5)
