"""`benchbd inspect`: what is told of a file, and its exit code."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from benchbd.cli.inspect import NAMES_SHOWN
from support.command_line import benchbd, told


class Shell:
    """A pickle of this would make a marker file where it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch marker",)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A file of more tensors than are listed."""
    path = tmp_path / "many.pt"
    torch.save({f"w{place:03d}": torch.zeros(1) for place in range(NAMES_SHOWN + 5)}, path)
    return path


def test_a_long_list_is_cut_unless_all_is_asked_for(many: Path) -> None:
    short, whole = told("inspect", str(many)), told("inspect", str(many), "--all")
    assert "... and 5 more; --all lists them" in short and "w044" not in short
    assert "more" not in whole and f"w{NAMES_SHOWN + 4:03d}: float32 (1,)" in whole


def test_for_a_program_it_is_one_object(many: Path) -> None:
    content = json.loads(told("inspect", str(many), "--json"))
    assert content["kind"] == "PyTorch archive" and len(content["holds"]) == NAMES_SHOWN + 5


def test_a_pickle_that_would_run_ends_it_with_five(tmp_path: Path) -> None:
    torch.save({"a": Shell()}, tmp_path / "a.pt")
    ended = benchbd("inspect", "a.pt", cwd=tmp_path)
    assert ended.returncode == 5
    assert "suspicious import posix.system" in ended.stdout and "refused" in ended.stdout
    assert not (tmp_path / "marker").exists()


def test_what_a_terminal_would_obey_is_told_as_question_marks(tmp_path: Path) -> None:
    torch.save({"a\x1b[31mred": torch.zeros(1)}, tmp_path / "a.pt")
    said = told("inspect", str(tmp_path / "a.pt"))
    assert "\x1b" not in said and "a?[31mred: float32 (1,)" in said
