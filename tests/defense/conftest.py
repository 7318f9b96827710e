"""A defense run on the stored attack result, and an attack that leaves no poisoned set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchbd.api import ImageSet, Recipe, TrainingControlledAttack
from benchbd.defense.defense import Defense
from benchbd.record.attack_result import AttackResult
from benchbd.record.defense_result import DefenseResult
from benchbd.running.attack_job import AttackJob
from benchbd.running.attacking import make
from support.defenses import Run


@pytest.fixture
def run(stored: AttackResult, tmp_path_factory: pytest.TempPathFactory) -> Run:
    def defend(defense: Defense, **options: Any) -> DefenseResult:
        folder = tmp_path_factory.mktemp("defense")
        return defense.defense(stored.path, device="cpu", save_path=folder, **options)

    return defend


class Controlled(TrainingControlledAttack):
    api = 1
    name = "controlled"

    def train(
        self, model: nn.Module, clean_train: ImageSet, recipe: Recipe, rng: torch.Generator
    ) -> nn.Module:
        return model.eval()

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return 255 - images


@pytest.fixture(scope="package")
def controlled(
    tmp_path_factory: pytest.TempPathFactory,
    job_of: Callable[[TrainingControlledAttack], AttackJob],
) -> AttackResult:
    return make(job_of(Controlled()), tmp_path_factory.mktemp("controlled"))
