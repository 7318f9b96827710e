"""Attacks that control training leave no poisoned set unless they hand it back, and may hand back
what they learned.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchbd.api import DataFilter, Recipe, Suspicion, Trained, TrainingControlledAttack
from benchbd.attack.training_controlled import unpoisoned_set
from benchbd.data.images import ImageSet
from benchbd.data.poisoned import PoisonedSet, State
from benchbd.errors import ContractBroken
from benchbd.record.attack_result import load_attack_result
from benchbd.running.attacking import make


class Learner(TrainingControlledAttack):
    """Learns by how much it darkens."""

    api = 1
    name = "learner"

    def train(
        self, model: nn.Module, clean_train: ImageSet, recipe: Recipe, rng: torch.Generator
    ) -> nn.Module | Trained:
        return Trained(model.eval(), {"by": torch.tensor(40.0)})

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return images.float() - self.trigger["by"]


class Leaver(Learner):
    """Darkens the first two images by 40 and calls them class 0."""

    name = "leaver"
    leaves_poisoned_set = True

    def train(
        self, model: nn.Module, clean_train: ImageSet, recipe: Recipe, rng: torch.Generator
    ) -> Trained:
        places = torch.arange(2)
        darker = (clean_train.images[places].int() - 40).clamp(min=0).to(torch.uint8)
        states = torch.full((2,), State.POISONED, dtype=torch.uint8)
        poisoned = PoisonedSet(clean_train, places, darker, torch.zeros_like(places), states)
        return Trained(model.eval(), {"by": torch.tensor(40.0)}, poisoned)


class Careless(Learner):
    name = "careless"

    def train(self, *handed: Any) -> Any:
        return nn.Linear(1, 1)


def test_nothing_of_the_training_set_is_poisoned(images: ImageSet) -> None:
    poisoned = unpoisoned_set(images)
    assert poisoned.as_seen().fingerprint() == images.fingerprint()
    assert poisoned.count(State.POISONED) == 0 and bool((poisoned.state() == State.CLEAN).all())


def test_a_trigger_that_was_learned_is_stored_and_stamped(
    job_of: Callable[..., Any], tmp_path: Path
) -> None:
    result = make(job_of(Learner()), tmp_path)
    assert result.trigger["by"].item() == 40
    clean = result.test.images[result.triggered.indices].int()
    assert torch.equal(result.triggered.images.int(), (clean - 40).clamp(min=0))
    assert len(result.train.indices) == 0


def test_a_poisoned_set_that_is_handed_back_is_stored_and_filters_apply(
    job_of: Callable[..., Any], tmp_path: Path
) -> None:
    result = load_attack_result(make(job_of(Leaver()), tmp_path).path)
    assert result.train.indices.tolist() == [0, 1]
    assert result.train.count(State.POISONED) == 2
    assert result.train.as_seen().labels[:2].tolist() == [0, 0]
    filtered = Brightness().against(result, clean_budget=0.3)
    assert filtered.cell.detection["removed"] == 0
    assert 0 <= filtered.cell.detection["auroc"] <= 1


class Brightness(DataFilter):
    """Suspects dark images."""

    api = 1
    name = "brightness"

    def score(self, train: ImageSet, model: nn.Module, clean: Any, rng: torch.Generator) -> Any:
        return Suspicion(255 - train.images.float().mean((1, 2, 3)), threshold=256.0)


@pytest.mark.parametrize(
    ("says", "returns", "message"),
    [
        (True, None, "leaves_poisoned_set is True, but train returned no poisoned set"),
        (False, "its own", "leaves_poisoned_set is False, but train returned a poisoned set"),
        (True, "another", "poisoned set of other images; make it from the clean_train"),
    ],
)
def test_what_it_says_of_its_poisoned_set_must_be_so(
    monkeypatch: pytest.MonkeyPatch,
    job_of: Callable[..., Any],
    images: ImageSet,
    tmp_path: Path,
    says: bool,
    returns: str | None,
    message: str,
) -> None:
    def train(self: Leaver, model: nn.Module, clean: ImageSet, *_: Any) -> Trained:
        sets = {"its own": unpoisoned_set(clean), "another": unpoisoned_set(images), None: None}
        return Trained(model.eval(), {"by": torch.tensor(40.0)}, sets[returns])

    monkeypatch.setattr(Leaver, "train", train)
    monkeypatch.setattr(Leaver, "leaves_poisoned_set", says)
    with pytest.raises(ContractBroken, match=message):
        make(job_of(Leaver()), tmp_path)


def test_another_model_than_the_one_that_was_handed_in_is_refused(
    job_of: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(
        ContractBroken, match=r"careless\.train returned a Linear; return the model"
    ):
        make(job_of(Careless()), tmp_path)
