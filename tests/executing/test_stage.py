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

from benchbd.engine.process_state import settings
from benchbd.executing.stage import AttackSpec, remove_spec, run_stage, write_spec
from benchbd.matrices.plan import plan


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
