"""Data filters: what they are handed, on what the core trains again, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from benchbd.api import CleanSet, ImageSet, Recipe, Suspicion
from benchbd.defense import data_filter
from benchbd.errors import ConfigError, ContractBroken
from benchbd.record.attack_result import AttackResult
from support.defenses import Run, Verb, patched, require_clean_budget, sieve, weights, wipe


@pytest.fixture
def retrained(monkeypatch: pytest.MonkeyPatch) -> list[ImageSet]:
    """The sets on which the core trains again, in place of the training."""
    sets: list[ImageSet] = []

    def instead(
        model: nn.Module, train: ImageSet, recipe: Recipe, rng: torch.Generator, **_: Any
    ) -> nn.Module:
        sets.append(train)
        return model.eval()

    monkeypatch.setattr(data_filter, "fit", instead)
    return sets


@pytest.mark.slow
def test_a_data_filter_is_handed_the_set_as_seen_a_model_clean_images_and_chance(
    run: Run, stored: AttackResult, retrained: list[ImageSet]
) -> None:
    def act(seen: ImageSet, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Suspicion:
        assert seen.fingerprint() == stored.train.as_seen().fingerprint()
        assert torch.equal(weights(model), weights(stored.model))
        require_clean_budget(clean, stored)
        assert isinstance(rng, torch.Generator)
        return Suspicion(patched(seen.images).double(), 0.5, {"by": "eye"})

    result = run(sieve(act))
    count = stored.manifest.counts.poisoned
    perfect = {"auroc": 1.0, "tpr_at_1_fpr": 1.0, "tpr_at_5_fpr": 1.0, "tpr_at_10_fpr": 1.0}
    flags = {
        "tpr": 1.0,
        "fpr": 0.0,
        "precision": 1.0,
        "recall": 1.0,
        "classes_emptied": [],
        "removed": count,
    }
    assert result.cell.detection == perfect | flags
    assert result.cell.notes == {"by": "eye"}
    assert (
        retrained[0].fingerprint()
        == stored.train.clean.subset(stored.train.untouched()).fingerprint()
    )


@pytest.mark.slow
def test_the_core_trains_again_and_the_backdoor_is_gone(run: Run, stored: AttackResult) -> None:
    result = run(sieve(lambda seen, *_: Suspicion(patched(seen.images).float(), 0.5)))
    assert result.metrics.asr is not None
    assert result.baseline.asr is not None
    assert result.metrics.asr < 0.3 < result.baseline.asr
    assert not torch.equal(weights(result.model), weights(stored.model))


@pytest.mark.slow
def test_figures_of_a_data_filter_by_hand(
    run: Run, stored: AttackResult, retrained: list[ImageSet]
) -> None:
    count = len(stored.train)
    result = run(sieve(lambda *_: Suspicion(torch.arange(count), count - 101)))
    bad = set(stored.train.indices.tolist())
    hits = len(bad & set(range(count - 100, count)))
    detection = result.cell.detection
    assert detection is not None
    assert detection["removed"] == 100
    assert detection["precision"] == pytest.approx(hits / 100)
    assert detection["tpr"] == detection["recall"] == pytest.approx(hits / len(bad))
    assert detection["fpr"] == pytest.approx((100 - hits) / (count - len(bad)))
    assert len(retrained[0]) == count - 100


@pytest.mark.parametrize("left", [0, 1])
def test_a_data_filter_that_leaves_nothing_is_told_so(
    run: Run, stored: AttackResult, left: int
) -> None:
    count = len(stored.train)
    message = (
        f"sieve flagged {count - left} of {count} training samples, which leaves nothing to train "
        "on"
    )
    with pytest.raises(ConfigError, match=message):
        run(sieve(lambda *_: Suspicion(torch.arange(count), left - 0.5)))


def test_a_class_may_go_as_a_whole(
    run: Run, stored: AttackResult, retrained: list[ImageSet]
) -> None:
    result = run(sieve(lambda seen, *_: Suspicion((seen.labels == 3).double(), 0.5)))
    assert result.cell.detection is not None
    assert result.cell.detection["classes_emptied"] == [3]
    assert (retrained[0].labels != 3).all() and retrained[0].num_classes == 10


def test_what_a_data_filter_scribbles_on_does_not_reach_the_second_training(
    run: Run, stored: AttackResult, retrained: list[ImageSet]
) -> None:
    def act(seen: ImageSet, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Suspicion:
        wipe(model)
        for images in (seen, clean.train):
            images.images.zero_()
            images.labels.zero_()
        return Suspicion(torch.zeros(len(seen)), 0.5)

    run(sieve(act))
    assert retrained[0].fingerprint() == stored.train.as_seen().fingerprint()


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda seen, *_: Suspicion(torch.zeros(len(seen) - 1), 0.0),
            r"sieve.score returned \(\d+,\) scores, expected \(\d+,\)",
        ),
        (
            lambda seen, *_: Suspicion(torch.zeros(len(seen), 1), 0.0),
            "one for each sample, in order",
        ),
        (
            lambda seen, *_: Suspicion(torch.full((len(seen),), float("nan")), 0.0),
            "scores that are not numbers",
        ),
        (lambda seen, *_: Suspicion([0.0] * len(seen), 0.0), "sieve.score returned a list"),  # type: ignore[arg-type]
        (
            lambda seen, *_: torch.zeros(len(seen)),
            "sieve.score returned a Tensor, expected a Suspicion",
        ),
    ],
)
def test_data_filters_that_break_the_contract(run: Run, act: Verb, message: str) -> None:
    with pytest.raises(ContractBroken, match=message):
        run(sieve(act))
