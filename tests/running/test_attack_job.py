"""Everything that an attack result depends on, and nothing else, is in the key of its job."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from benchbd.attack.attack import Attack
from benchbd.engine.recipe import Recipe
from benchbd.plugin.registry import create
from benchbd.running.attack_job import AttackJob
from benchbd.victim.dataset import DataSet
from benchbd.victim.model import Model

JobOf = Callable[[Attack], AttackJob]


@pytest.fixture
def job(job_of: JobOf) -> AttackJob:
    return job_of(create(Attack, "badnet", {"size": 2}))


OTHERS: list[dict[str, Any]] = [
    {"seed": 1},
    {"recipe": Recipe(epochs=2)},
    {"dataset": create(DataSet, "digits", {"size": 12})},
    {"model": create(Model, "resnet_small", {"width": 8})},
    {"attack": create(Attack, "badnet", {"size": 3})},
]


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: next(iter(other)))
def test_a_key_hangs_on_everything_that_the_result_depends_on(
    job: AttackJob, other: dict[str, Any]
) -> None:
    assert dataclasses.replace(job, **other).key != job.key


def test_where_it_is_made_is_no_part_of_the_key(job: AttackJob) -> None:
    assert dataclasses.replace(job, device="cuda").key == job.key


def test_its_folder_tells_a_person_what_is_inside(job: AttackJob) -> None:
    assert job.folder_name == f"badnet-digits-resnet_small-seed0-{job.key[:8]}"


def test_its_plugins_are_found_again_by_their_names(job: AttackJob) -> None:
    found = job.found_as
    assert set(found) == {"dataset", "model", "attack"}
    assert all(
        type(create(kind, name)) is type(plugin)
        for (kind, name), plugin in zip(found.items(), job.plugins, strict=True)
    )
