"""`benchbd verify`: faults on a line each, a count at the end, five where there is one."""

from __future__ import annotations

from pathlib import Path

from benchbd.plugin.registry import create
from benchbd.record.attack_result import AttackResult
from benchbd.record.files import read_json
from support.command_line import benchbd
from support.made_cells import make_cell, store


def test_an_honest_result_is_counted_and_noted(stored: AttackResult, tmp_path: Path) -> None:
    create("defense", "none").defense(stored.path, device="cpu", save_path=tmp_path / "made")  # type: ignore[attr-defined]
    ended = benchbd("verify", "made/cell.json", "--note", "trust.json", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (0, "1 recomputed\nnoted: trust.json\n")
    assert "recomputed" in str(read_json(tmp_path / "trust.json"))


def test_faults_are_named_and_end_it_with_five(tmp_path: Path) -> None:
    store([make_cell()], tmp_path)
    ended = benchbd("verify", "trial", cwd=tmp_path)
    assert ended.returncode == 5
    *faults, last = ended.stdout.splitlines()
    assert all(fault.startswith(f"fault {make_cell().place}: ") for fault in faults)
    assert "is provided by 'somebody', which is not installed here" in faults[0]
    assert last == "1 with faults"


def test_an_empty_folder_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    ended = benchbd("verify", "results", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (0, "no result file there\n")
