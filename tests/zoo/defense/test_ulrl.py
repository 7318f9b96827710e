"""ULRL: which rows are suspicious, how they are learned anew, and steps of the authors' code."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchbd.api import CleanSet, Repaired
from benchbd.engine.hardware import default_precision
from benchbd_zoo.defense import ulrl
from benchbd_zoo.defense.ft import FT
from benchbd_zoo.defense.ulrl import ULRL, suspicious
from support.inverting import victim
from support.tiny_networks import random_images

CLEAN = CleanSet(random_images(24, seed=1), random_images(8, seed=2))


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        ([1.0, 2, 3, 4, 5], []),  # median 3, MAD 1: (5 - 3) / 1.48 = 1.3
        ([1.0, 2, 3, 4, 50], [4]),
        ([-50.0, 2, 3, 4, 5], []),  # far below is not suspicious
        ([3.0, 3, 3, 3, 50], []),  # without spread nothing stands out
        ([40.0, 30, 50, 1, 2, 3, 4, 5, 6], [0, 2]),  # the two largest, not the two first
    ],
)
def test_suspicious_rows_by_hand(moved: list[float], expected: list[int]) -> None:
    assert suspicious(torch.tensor(moved), 3.5).tolist() == expected


def repaired(**options: Any) -> Repaired:
    method = ULRL(**({"shift": 0, "unlearning_epochs": 1} | options))
    with default_precision("fp32"):
        return method.repair(victim(), CLEAN, torch.Generator().manual_seed(0))


def test_without_a_suspicious_row_it_is_fine_tuning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ulrl, "suspicious", lambda *given: torch.zeros(0, dtype=torch.int64))
    found = repaired(relearn_epochs=2)
    with default_precision("fp32"):
        plain = FT(epochs=2, lr=0.005, shift=0, weight_decay=0.0).repair(
            victim(), CLEAN, torch.Generator().manual_seed(1)
        )
    assert found.notes["suspicious"] == []
    for name, weight in plain.named_parameters():
        torch.testing.assert_close(
            found.model.get_parameter(name), weight, atol=1e-5, rtol=1e-4, msg=name
        )


def test_a_row_turns_away_from_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ulrl, "suspicious", lambda *given: torch.tensor([2]))

    def likeness(alpha: float) -> float:
        found: Any = repaired(relearn_alpha=alpha, relearn_epochs=10, relearn_lr=0.05).model
        rows = found.head.weight[2], victim().head.weight[2]
        return float(torch.cosine_similarity(*rows, dim=0).detach())

    assert likeness(1.0) < likeness(0.0) - 0.2


def test_a_drawn_row_stays_in_its_bounds() -> None:
    head, rows = victim().head, torch.tensor([0, 3])
    ulrl._redraw_rows(head, rows, torch.Generator().manual_seed(0))
    bound = (2 / 6) ** 0.5
    assert float(head.weight[rows].detach().abs().max()) <= bound
    assert not bool(head.bias[rows].any())
    assert torch.equal(head.weight[1:3], victim().head.weight[1:3])


def test_as_the_reference_unlearning() -> None:
    """`one_forward_backward_unlearn` of NayMyatMin/ULRL at 094debf (utils/trainer_cls.py), three
    steps: the changes of the head's rows.
    """
    found = ULRL(unlearning_epochs=3, clean_threshold=0.0, shift=0)
    with default_precision("fp32"):
        network: Any = found._unlearn(victim(), CLEAN, torch.Generator().manual_seed(0))[0]
    moved = (network.head.weight - victim().head.weight).abs().sum(1)
    assert moved.tolist() == pytest.approx([0.029766, 0.032575, 0.017491, 0.021149], abs=2e-6)


def test_as_the_reference_relearning(monkeypatch: pytest.MonkeyPatch) -> None:
    """`one_forward_backward` of its RelearningTrainer at 094debf (utils/trainer_cls.py): the row of
    class 1 after one step from a ramp.
    """

    def ramp(head: torch.nn.Linear, *given: Any) -> None:
        with torch.no_grad():
            head.weight[1], head.bias[1] = torch.linspace(-0.5, 0.5, 6), 0

    monkeypatch.setattr(ulrl, "_redraw_rows", ramp)
    monkeypatch.setattr(ulrl, "suspicious", lambda *given: torch.tensor([1]))
    model: Any = repaired(relearn_epochs=1).model
    expected = [-0.501011, -0.299765, -0.098932, 0.099124, 0.296695, 0.5016]
    assert model.head.weight[1].tolist() == pytest.approx(expected, abs=2e-6)
