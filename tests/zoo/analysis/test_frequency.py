"""Spectra of triggers and of networks whose frequencies are known."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from benchbd.api import BACKDOORED, Classifier, NotApplicable, PoisoningAttack, create
from benchbd.engine.hardware import default_precision
from benchbd.testing.trial import hand_over
from benchbd_zoo.analysis.frequency import (
    Frequency,
    high_share,
    mean_radius,
    radii,
    saliency,
    spectrum,
    tuned,
)

SIDE = 32


def wave(periods: int) -> Tensor:
    """A sinusoid across, (1, 1, SIDE, SIDE)."""
    across = torch.sin(2 * math.pi * periods * torch.arange(SIDE, dtype=torch.float64) / SIDE)
    return across.expand(1, 1, SIDE, SIDE)


def peaks(amplitudes: Tensor) -> list[list[int]]:
    """The frequencies at which a spectrum is at its highest."""
    return (torch.nonzero(amplitudes > 0.99 * amplitudes.max()) - SIDE // 2).tolist()


class Linear(nn.Module):
    """Logit 0 is a wave of three periods across; the others are far below."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1, 4)
        self.head.weight.data = torch.tensor([[1.0], [0], [0], [0]])
        self.head.bias.data = torch.tensor([0.0, -9, -9, -9])
        self.register_buffer("wave", wave(3).float())

    def features(self, x: Tensor) -> Tensor:
        return (x * self.wave).mean((1, 2, 3))[:, None]  # type: ignore[operator]


def test_a_wave_of_six_periods_has_one_peak() -> None:
    found = spectrum(wave(6))
    assert peaks(found) == [[0, -6], [0, 6]]
    assert mean_radius(found) == pytest.approx(6 / 16)
    assert high_share(found) == pytest.approx(0)
    assert high_share(spectrum(wave(9))) == pytest.approx(1)


def test_the_frequency_of_sig_is_recovered() -> None:
    sig = create(PoisoningAttack, "sig", {"f": 5})
    grey = torch.full((1, 1, SIDE, SIDE), 128, dtype=torch.uint8)
    stamped = sig.stamp(grey, torch.zeros(1, dtype=torch.int64), torch.Generator())
    assert peaks(spectrum(stamped.double() - 128)) == [[0, -5], [0, 5]]


def test_a_linear_network_listens_to_its_weights() -> None:
    model = Classifier(Linear(), (0.0,) * 3, (1.0,) * 3).eval()
    with default_precision("fp32"):
        found = spectrum(saliency(model, hand_over().test.images[:3]))
    assert peaks(found) == [[0, -3], [0, 3]]
    even = torch.ones(SIDE, SIDE)
    assert tuned(found, spectrum(wave(3))) > 100 > 1e-6 > tuned(found, spectrum(wave(6)))
    assert tuned(even, spectrum(wave(6))) == pytest.approx(1)


def test_radii_reach_1_along_an_axis() -> None:
    found = radii(4, 8)
    assert found[2, 4] == 0 and found[0, 4] == 1 and found[2, 0] == 1
    assert found[2, 5] == pytest.approx(1 / 4)


def test_a_model_is_left_as_it_was() -> None:
    handed = hand_over()
    saliency(handed.model, handed.test.images[:2])
    assert all(p.requires_grad and p.grad is None for p in handed.model.parameters())


def test_a_trigger_that_changes_nothing_has_no_spectrum() -> None:
    handed = hand_over()
    same = replace(handed.triggered, images=handed.test.images[handed.triggered.indices])
    scene = replace(handed.scene, triggered=same)
    with pytest.raises(NotApplicable, match="no pixel"):
        Frequency(images=4).look(scene, handed.rng)


def test_the_trigger_is_the_attacks_alone() -> None:
    handed = hand_over()
    numbers = Frequency(images=8).look(handed.scene, handed.rng).numbers
    assert "trigger_high" in numbers[BACKDOORED]
    assert list(numbers["defended"]) == ["tuned", "tuned_without", "saliency_high"]
