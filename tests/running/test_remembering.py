"""An attack whose author raised `results_version` does not find what its earlier version left."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from benchbd.api import BuildModel, remembered
from benchbd.data.images import ImageSet
from benchbd.engine.recipe import Recipe
from benchbd.running.attack_job import AttackJob
from benchbd.running.attacking import make
from benchbd.testing.tiny_data import ARCHITECTURES, Patch, PlantedImages


class Grey(Patch):
    """A square of a grey that `prepare` chooses."""

    name = "grey"
    grey: ClassVar[int] = 100

    def prepare(
        self, train: ImageSet, build_model: BuildModel, recipe: Recipe, rng: torch.Generator
    ) -> dict[str, Tensor]:
        return remembered("grey", ["a grey"], lambda: {"grey": torch.tensor(self.grey)})

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        stamped = images.clone()
        stamped[:, :, 13:19, 13:19] = self.trigger["grey"]
        return stamped


class Corrected(Grey):
    results_version = 2
    grey: ClassVar[int] = 200


@pytest.mark.slow
def test_a_corrected_attack_does_its_work_again(tmp_path: Path) -> None:
    recipe = Recipe(epochs=0, batch_size=50, precision="fp32")
    attacks = (Grey(), Corrected(), Corrected(poison_ratio=0.2))
    jobs = [
        AttackJob(
            PlantedImages(), ARCHITECTURES["residual"](), attack, recipe, seed=0, device="cpu"
        )
        for attack in attacks
    ]
    found = [
        int(make(job, tmp_path / str(place)).trigger["grey"]) for place, job in enumerate(jobs)
    ]
    assert found == [100, 200, 200]
    assert len(list(tmp_path.glob(".remembered/grey-*.pt"))) == 2, (
        "the share of poison is no part of the work"
    )
