"""Grad-CAM of a planted network that looks at its top left quarter alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from benchbd.api import BACKDOORED, Classifier
from benchbd.data.poisoned import TriggeredSet
from benchbd.testing.trial import VerbInputs, hand_over
from benchbd_zoo.analysis.gradcam import Gradcam, heat, moved
from support.tiny_networks import Network

SIDE = 32


class Quarter(nn.Module):
    """One map, of which the top left quarter alone is let through; its mean is the feature."""

    def __init__(self) -> None:
        super().__init__()
        self.maps, self.gate = nn.Conv2d(3, 1, 1, bias=False), Gate()
        nn.init.ones_(self.maps.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.gate(self.maps(x)).mean((2, 3))  # type: ignore[no-any-return]


class Gate(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        inside = torch.zeros_like(x)
        inside[..., : x.shape[2] // 2, : x.shape[3] // 2] = 1
        return x * inside


def planted() -> Classifier:
    network = Network(Quarter(), width=1)
    nn.init.zeros_(network.head.bias)
    network.head.weight.data = torch.tensor([[1.0], [0.5], [0.25], [0.0]])
    return Classifier(network, (0.0,) * 3, (1.0,) * 3).eval()


def stamped(handed: VerbInputs, height: int, width: int) -> TriggeredSet:
    """All images of the triggered set, with white in their top left corner; what is not white
    below it is dark, so that each pixel there changes.
    """
    images = handed.scene.test.images[handed.triggered.indices].clamp(max=200)
    images[..., :height, :width] = 255
    return replace(handed.triggered, images=images)


def test_all_heat_lies_on_the_quarter() -> None:
    """A quarter of the pixels changes, and all heat lies there: a lift of 4."""
    handed = hand_over()
    handed.scene.test.images.clamp_(max=200)
    triggered = stamped(handed, SIDE // 2, SIDE // 2)
    scene = replace(handed.scene, models={BACKDOORED: planted()}, triggered=triggered)
    found = Gradcam(images=8).look(scene, handed.rng)
    assert found.numbers[BACKDOORED]["lift"] == pytest.approx(4)
    assert found.numbers[BACKDOORED]["lift_without"] == pytest.approx(4)
    maps = found.pictures["heat"].rows[BACKDOORED]  # type: ignore[union-attr]
    assert len(maps) == 8 + 2 and not maps[:, SIDE // 2 :].any()


def test_a_trigger_over_more_than_half_has_no_lift() -> None:
    handed = hand_over()
    handed.scene.test.images.clamp_(max=200)
    triggered = stamped(handed, SIDE, SIDE // 2 + 1)
    scene = replace(handed.scene, models={BACKDOORED: planted()}, triggered=triggered)
    assert list(Gradcam(images=4).look(scene, handed.rng).numbers[BACKDOORED]) == ["moved"]


def test_heat_that_moves_is_counted_by_share() -> None:
    """Half of the heat moves in the first image; in the second none, for scale does not count."""
    before = torch.tensor([[[1.0, 0.0]], [[1.0, 1.0]]])
    after = torch.tensor([[[1.0, 1.0]], [[3.0, 3.0]]])
    assert moved(before, after) == pytest.approx(0.25)


def test_batches_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = planted(), hand_over().test.images[:5]
    whole = heat(model, images)
    monkeypatch.setattr("benchbd_zoo.analysis.gradcam.BATCH", 2)
    torch.testing.assert_close(heat(model, images), whole, rtol=2e-2, atol=1e-3)
