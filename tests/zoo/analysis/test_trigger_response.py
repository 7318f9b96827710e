"""Changed triggers on a planted network that answers to the brightness of one pixel."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from benchbd.api import BACKDOORED, Classifier, Pairs, predict
from benchbd.testing.trial import hand_over
from benchbd_zoo.analysis.trigger_response import TriggerResponse, shifted, variations


class Watching(nn.Module):
    """Class 0 if the pixel at (14, 14), inside of the patch, is above 0.6; else class 1."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1, 4)
        self.head.weight.data = torch.tensor([[1.0], [0], [0], [0]])
        self.head.bias.data = torch.tensor([-0.6, 0, -1, -1])

    def features(self, x: Tensor) -> Tensor:
        return x[:, 0, 14, 14, None]


def planted() -> Classifier:
    return Classifier(Watching(), (0.0,) * 3, (1.0,) * 3).eval()


def pairs() -> Pairs:
    """Two black images; the first has a white pixel at (1, 1), the second at (2, 2)."""
    clean = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    triggered = clean.clone()
    triggered[0, 0, 1, 1] = triggered[1, 0, 2, 2] = 200
    labels = torch.ones(2, dtype=torch.int64)
    return Pairs(clean, triggered, labels, torch.zeros_like(labels))


def by_name() -> dict[str, list[Tensor]]:
    found: dict[str, list[Tensor]] = {}
    for name, images in variations(pairs(), torch.Generator().manual_seed(0)):
        found.setdefault(name, []).append(images)
    return found


def test_the_trigger_itself_and_none() -> None:
    found, made = by_name(), pairs()
    assert torch.equal(found["strength 1"][0], made.triggered)
    assert torch.equal(found["strength 0"][0], made.clean)
    assert int(found["strength 1.5"][0].max()) == 255


def test_another_images_trigger() -> None:
    assert torch.equal(by_name()["exchanged"][0], pairs().triggered.flip(0))


def test_a_shift_loses_what_leaves_the_image() -> None:
    change = pairs().triggered.float()
    assert float(shifted(change, 1, 0)[0, 0, 2, 1]) == 200
    assert float(shifted(change, 0, -1)[0, 0, 1, 0]) == 200
    assert not shifted(change, 0, -2)[0].any()
    assert len(by_name()["shifted by 4"]) == 4


def test_asr_by_strength_is_a_step() -> None:
    """Noise of up to 207 levels lies below; white at strength s is x + s (255 - x)."""
    handed = hand_over()
    scene = replace(handed.scene, models={BACKDOORED: planted()})
    found = TriggerResponse(images=30).look(scene, handed.rng)
    seen = scene.pairs(30)
    rates = {row["change"]: float(row["asr"]) for row in found.tables["rates"]}
    for strength, images in ((0, seen.clean), (1, seen.triggered)):
        expected = float((predict(planted(), images) == 0).double().mean())
        assert rates[f"strength {strength}"] == pytest.approx(expected)
    numbers = found.numbers[BACKDOORED]
    assert rates["strength 1"] == rates["exchanged"] == numbers["exchanged"] == 1
    # The patch of 6 x 6 still covers the pixel, but what it adds there is that of a neighbour.
    assert rates["shifted by 1"] > 0.9 > rates["shifted by 4"]
    assert 0.3 < numbers["half"] < 0.9  # as often as the pixel itself is kept, or is bright
    grown = [rates[f"strength {s:g}"] for s in (0, 0.25, 0.5, 0.75, 1)]
    assert numbers["area"] == pytest.approx((sum(grown) - (grown[0] + grown[-1]) / 2) / 4)
    assert numbers["highest"] == 1
