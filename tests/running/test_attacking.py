"""The attack stage: what an attack result depends on, and that none takes the place of another."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchbd.attack.attack import Attack
from benchbd.data.poisoned import State
from benchbd.errors import ConfigError, RecordError, Unwritable
from benchbd.plugin.registry import create
from benchbd.record.attack_result import AttackResult
from benchbd.running.attack_job import AttackJob
from benchbd.running.attacking import (
    load_or_make_attack_result,
    make,
    require_writable,
    triggered_images,
)

JobOf = Callable[[Attack], AttackJob]


@pytest.fixture
def job(job_of: JobOf) -> AttackJob:
    """The job that `stored` was made by."""
    return job_of(create(Attack, "badnet", {"size": 2, "poison_ratio": 0.2}))


def test_the_result_is_of_its_job(stored: AttackResult, job: AttackJob) -> None:
    assert stored.key == job.key
    count = stored.train.count(State.POISONED)
    assert count == round(0.2 * len(stored.train)) == stored.manifest.counts.poisoned
    assert stored.manifest.outline.num_classes == 10
    assert stored.manifest.fingerprints.test == job.dataset.load("test").fingerprint()
    assert (stored.folder / "images.png").is_file()


@pytest.mark.slow
def test_the_same_job_gives_the_same_predictions(
    stored: AttackResult, job: AttackJob, tmp_path: Path
) -> None:
    again = make(job, tmp_path)
    assert torch.equal(again.clean_predictions, stored.clean_predictions)
    assert torch.equal(again.triggered_predictions, stored.triggered_predictions)


@pytest.mark.slow
def test_who_dies_before_the_result_is_stored_has_drawn_its_pictures(
    job: AttackJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored is not made again, and nothing may be missing beside it then."""

    def die(self: AttackResult) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(AttackResult, "save", die)
    with pytest.raises(KeyboardInterrupt):
        make(job, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["images.png"]


def test_what_is_there_is_used_again(
    stored: AttackResult, job: AttackJob, result_file: Path
) -> None:
    found, was_there = load_or_make_attack_result(job, result_file.parent)
    assert was_there and found.key == stored.key


def test_the_result_of_another_job_stays(job: AttackJob, result_file: Path) -> None:
    before = result_file.read_bytes()
    with pytest.raises(RecordError, match="holds the result of another job; choose another --name"):
        load_or_make_attack_result(dataclasses.replace(job, seed=1), result_file.parent)
    assert result_file.read_bytes() == before


@pytest.mark.slow
def test_work_that_fails_at_once_leaves_no_folder(job: AttackJob, tmp_path: Path) -> None:
    absurd = dataclasses.replace(job, attack=create(Attack, "badnet", {"target": 99}))
    with pytest.raises(ConfigError, match="expected target"):
        load_or_make_attack_result(absurd, tmp_path / "record" / "a")
    assert not (tmp_path / "record" / "a").exists()


def test_a_place_that_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        Unwritable, match=r"cannot write to .*file/record: .*; choose another folder"
    ):
        require_writable(tmp_path / "file" / "record")
    require_writable(tmp_path / "new" / "record")
    assert list((tmp_path / "new" / "record").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["badnet", "input_aware"], ids=["drawn", "learned"])
def test_triggered_images_alone_are_those_of_the_result(
    job_of: JobOf, tmp_path: Path, name: str
) -> None:
    job = job_of(create(Attack, name))
    made = make(job, tmp_path / "result")
    test, triggered = triggered_images(job, tmp_path)
    assert test.fingerprint() == made.test.fingerprint()
    assert torch.equal(triggered.images, made.triggered.images)
