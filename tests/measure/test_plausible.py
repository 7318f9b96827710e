"""What is called strange, against shares and spreads worked out by hand."""

from __future__ import annotations

import pytest
import torch

from benchbd.measure.plausible import doubts
from benchbd.measure.shares import Counts, Metrics
from benchbd.measure.siblings import outlying

COUNTS = Counts(clean=900, clean_hits=0, triggered=900, attack_hits=0, true_hits=0)
"""Of 10 classes: guessing is 0.1 with a deviation of 0.01, so up to 0.13 is near."""

VARIED = torch.arange(900) % 10


def found(
    metrics: Metrics,
    baseline: Metrics | None = None,
    attacked: bool = True,
    predictions: torch.Tensor = VARIED,
) -> str:
    sound = Metrics(acc=0.9, asr=0.95, rc=0.04)
    return "; ".join(doubts(metrics, COUNTS, baseline or sound, 10, attacked, predictions))


def test_a_good_result_raises_none() -> None:
    assert found(Metrics(acc=0.88, asr=0.02, rc=0.87)) == ""
    assert (
        found(
            Metrics(acc=0.9, asr=0.01, rc=0.9), Metrics(acc=0.9, asr=0.01, rc=0.9), attacked=False
        )
        == ""
    )


@pytest.mark.parametrize(("acc", "doubted"), [(0.129, True), (0.131, False)])
def test_accuracy_of_guessing(acc: float, doubted: bool) -> None:
    assert (
        "defended model's ACC of 12.9 % is that of guessing"
        in found(Metrics(acc=acc, asr=0.0, rc=0.1))
    ) == doubted
    baseline = Metrics(acc=acc, asr=1.0, rc=0.0)
    assert (
        "it has learned nothing" in found(Metrics(acc=0.5, asr=0.0, rc=0.1), baseline)
    ) == doubted


@pytest.mark.parametrize(("asr", "doubted"), [(0.02, True), (0.0209, True), (0.025, False)])
def test_an_attack_that_did_not_take(asr: float, doubted: bool) -> None:
    """At ACC 0.9 each other class gets 1/90 by mistake, with a deviation of 0.0035: up to 0.0216 is
    ordinary.
    """
    baseline = Metrics(acc=0.9, asr=asr, rc=0.9)
    assert ("did not take" in found(Metrics(acc=0.9, asr=asr, rc=0.9), baseline)) == doubted


def test_high_asr_of_a_sound_model() -> None:
    assert "nobody attacked" in found(
        Metrics(acc=0.9, asr=0.3, rc=0.5), Metrics(acc=0.9, asr=0.3, rc=0.5), attacked=False
    )


def test_one_class_for_everything() -> None:
    predictions = torch.where(torch.arange(900) < 870, 3, VARIED)
    assert "one class" in found(Metrics(acc=0.2, asr=0.0, rc=0.1), predictions=predictions)
    assert "one class" not in found(
        Metrics(acc=0.2, asr=0.0, rc=0.1),
        predictions=torch.where(torch.arange(900) < 600, 3, VARIED),
    )


def test_triggered_images_easier_than_clean_ones() -> None:
    assert "RC 85.0 % exceeds ACC 80.0 %" in found(Metrics(acc=0.8, asr=0.0, rc=0.85))
    assert "exceeds" not in found(Metrics(acc=0.8, asr=0.0, rc=0.83))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({0: 0.9, 1: 0.91, 2: 0.4}, (2,)),
        ({0: 0.9, 1: 0.91, 2: 0.82}, ()),
        ({0: 0.1, 1: 0.5, 2: 0.9}, ()),
        ({0: 0.9, 1: 0.1}, ()),
    ],
)
def test_a_seed_far_from_its_siblings(values: dict[int, float], expected: tuple[int, ...]) -> None:
    assert outlying(values) == expected
