"""Fixtures of all tests: tiny images, a tiny network, an attack result made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchbd.attack.attack import Attack
from benchbd.data.images import ImageSet
from benchbd.engine.recipe import Recipe
from benchbd.plugin.registry import create
from benchbd.record.attack_result import AttackResult, load_attack_result
from benchbd.running.attack_job import AttackJob
from benchbd.running.attacking import make
from benchbd.victim.dataset import DataSet
from benchbd.victim.model import Model
from support.made_once import made_once

JobOf = Callable[[Attack], AttackJob]


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def images(rng: torch.Generator) -> ImageSet:
    """60 random colour images of 16x16 pixels in three classes, 20 of each."""
    pixels = torch.randint(0, 256, (60, 3, 16, 16), generator=rng, dtype=torch.uint8)
    return ImageSet(pixels, torch.arange(60) % 3, ("ant", "bee", "cat"))


@pytest.fixture(scope="session")
def job_of() -> JobOf:
    """A small attack job for an attack: digits at 8x8, a narrow network, three epochs, on the CPU
    in fp32.
    """

    def job(attack: Attack) -> AttackJob:
        dataset = create(DataSet, "digits", {"size": 8})
        model = create(Model, "resnet_small", {"width": 4})
        return AttackJob(
            dataset,
            model,
            attack,
            Recipe(epochs=3, batch_size=32, precision="fp32"),
            seed=0,
            device="cpu",
        )

    return job


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory, job_of: JobOf) -> AttackResult:
    """A stored attack result. Not to be changed: tests that write beside it work on a copy of its
    folder.
    """
    attack = create(Attack, "badnet", {"size": 2, "poison_ratio": 0.2})
    folder = made_once(tmp_path_factory, "small", lambda folder: make(job_of(attack), folder))
    return load_attack_result(folder)


@pytest.fixture
def result_file(stored: AttackResult, tmp_path: Path) -> Path:
    """A copy of the stored attack result in a folder of the test's own."""
    copy = tmp_path / "small" / "attack_result.pt"
    copy.parent.mkdir()
    copy.write_bytes(stored.path.read_bytes())
    return copy
