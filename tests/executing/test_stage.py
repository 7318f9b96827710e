"""Stages: what a spec carries to the process that runs it, and what happens where nothing can be
written.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benchbd.defense.defense import Defense
from benchbd.engine.process_state import settings
from benchbd.executing.stage import AttackSpec, DefenseSpec, remove_spec, run_stage, write_spec
from benchbd.matrices.plan import plan
from benchbd.plugin.registry import create
from benchbd.record.attack_result import load_attack_result
from benchbd.record.cell import Cell
from benchbd.record.cells import ResultStore
from benchbd.record.plugin_record import PluginRecord
from benchbd.running.attack_job import AttackJob
from benchbd.running.attacking import Require
from benchbd.running.protocol import Choice


@pytest.fixture
def spec(tiny: Any, tmp_path: Path) -> AttackSpec:
    """The attack stage of a tiny protocol."""
    job = next(iter(plan(tiny()))).job
    command = ("/somewhere/benchbd", "matrix", "tiny")
    return AttackSpec(
        ingredients=job.ingredients,
        found_as=job.found_as,
        folder=tmp_path / "work",
        argv=command,
    )


def test_provenance_tells_of_the_command_that_a_person_gave(
    spec: AttackSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(AttackSpec, "run", lambda self: seen.append(sys.argv))
    monkeypatch.setattr("sys.argv", ["fork_server.py", "4"])
    assert run_stage(write_spec(spec, "me")).code == "ok"
    assert seen == [["/somewhere/benchbd", "matrix", "tiny"]]


@pytest.mark.parametrize(
    ("shares", "code"), [((), "ok"), ((0.001,), "failed"), ((0.001, 0.5, 0.01), "ok")]
)
def test_an_attack_is_not_begun_where_no_waiting_defense_could_draw_its_data(
    spec: AttackSpec, shares: tuple[float, ...], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[Path] = []

    def make(job: AttackJob, folder: Path, require: Require) -> None:
        require(job.dataset.load("train"))
        trained.append(folder)

    monkeypatch.setattr("benchbd.executing.stage.make", make)
    ended = run_stage(write_spec(spec.model_copy(update={"clean_shares": shares}), "me"))
    assert (ended.code, len(trained)) == (code, int(code == "ok"))


@pytest.fixture
def defense_spec(result_file: Path, tmp_path: Path) -> DefenseSpec:
    """The stage in which clp meets a stored attack result."""
    attack = load_attack_result(result_file)
    record = PluginRecord.of(create(Defense, "clp"))
    about = attack.manifest.coordinates(record, 0.05)
    return DefenseSpec(
        key=about.key("trial@1"),
        folder=result_file.parent / "defense" / "clp",
        attack_folder=result_file.parent,
        found_as=attack.manifest.found_as,
        defense=Choice(name="clp", params=record.params),
        clean_budget=0.05,
        protocol="trial@1",
        evaluate_every=0,
        results=tmp_path / "results",
        result=about.result_name("trial@1"),
    )


def undefended(spec: DefenseSpec, **changed: Any) -> Cell:
    """How the attacked model does without a defense; what is stored of it is `changed`."""
    made = create(Defense, "none").defense(spec.attack_folder, protocol=spec.protocol)
    cell = made.cell.model_copy(update=changed)
    ResultStore(spec.results).write(cell.place, cell, made.predictions())
    return made.cell


@pytest.mark.slow
def test_a_stored_baseline_of_other_weights_gets_one_of_these_beside_it(
    defense_spec: DefenseSpec,
) -> None:
    """As where a contributor's processor trains another network from the same seed."""
    here = undefended(defense_spec, attacked_model="0" * 64)
    defense_spec.run()
    store = ResultStore(defense_spec.results)
    made = store.read(defense_spec.result)
    assert made is not None and made.attacked_model == here.attacked_model
    assert [cell.cell.defense.name for cell in store] == ["clp", "none"]
    beside = store.read(here.reference_place)
    assert beside is not None and beside.metrics == here.metrics
    assert made.baseline == here.baseline


@pytest.mark.slow
@pytest.mark.parametrize("there", [True, False], ids=["the same weights", "none stored"])
def test_otherwise_there_is_no_second_baseline(defense_spec: DefenseSpec, there: bool) -> None:
    if there:
        undefended(defense_spec)
    defense_spec.run()
    assert list(defense_spec.results.rglob("other_models")) == []


def test_a_stage_leaves_the_process_to_the_next_one_as_it_was(
    spec: AttackSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever set it: a plugin that is imported, a data set, or one that then fails."""

    def careless(self: AttackSpec) -> None:
        torch.set_default_dtype(torch.float64)
        torch.set_num_threads(3)
        os.chdir("/")
        raise ValueError("broken")

    monkeypatch.setattr(AttackSpec, "run", careless)
    before = settings()
    assert run_stage(write_spec(spec, "me")).code == "failed"
    assert settings() == before


def test_a_spec_that_cannot_be_taken_away_stops_nothing(
    spec: AttackSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a folder that has become read-only: what says so to a person is the next thing that is
    to be written.
    """
    path = write_spec(spec, "me")

    def refused(self: Path, missing_ok: bool = False) -> None:
        raise OSError(30, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "unlink", refused)
    remove_spec(path)
    assert path.is_file()
