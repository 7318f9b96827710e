"""Attacks that control training leave no poisoned set, and may hand back what they learned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchbd.api import Recipe, Trained, TrainingControlledAttack
from benchbd.attack.training_controlled import unpoisoned_set
from benchbd.data.images import ImageSet
from benchbd.data.poisoned import State
from benchbd.errors import ContractBroken
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


def test_another_model_than_the_one_that_was_handed_in_is_refused(
    job_of: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(
        ContractBroken, match=r"careless\.train returned a Linear; return the model"
    ):
        make(job_of(Careless()), tmp_path)
