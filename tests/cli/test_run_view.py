"""What `benchbd run` prints: the table, and what belongs to it."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.text import Text

from benchbd.cli.run_view import show_run, show_table
from benchbd.measure.shares import Counts, Metrics
from benchbd.record.cell import Cell, Status
from benchbd.report.table import AttackSummary
from benchbd.running.run import AttackOutcome, Run
from support.made_cells import make_cell

COUNTS = Counts(clean=1000, clean_hits=950, triggered=900, attack_hits=900, true_hits=0)


def attacked(*cells: Cell, stored: frozenset[str] = frozenset()) -> AttackOutcome:
    name, seed = cells[0].cell.attack.name, cells[0].cell.seed
    head = Text(f"{name} on pictures, seed {seed}")
    undefended = AttackSummary(head, Metrics.from_counts(COUNTS), COUNTS, ("RC is not known",))
    return AttackOutcome(undefended, Path("record/mine/attack_result.pt"), False, cells, stored)


def broken() -> Cell:
    cell = make_cell(defense="mend", hits=None, code="failed", reason="no")
    status = Status(code="failed", reason="no", stage="defense", traceback="in line 7")
    return cell.model_copy(update={"status": status})


def test_of_one_attack_result_all_files_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    cell = make_cell()
    show_run(Run((attacked(cell, stored=frozenset({cell.key})),)), ["record/mine/images.png"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "patch on pictures, seed 0" and "RC is not known" in lines
    assert any(line.startswith("stored results used again: 1 of 1 defenses") for line in lines)
    assert lines[-2:] == ["written:", "  record/mine/images.png"]


def test_of_several_their_folders_and_lines_that_say_of_which(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = Run((attacked(make_cell(seed=0)), attacked(broken())))
    show_run(run, [f"record/{name}/images.png" for name in ("a", "b", "a")])
    lines = capsys.readouterr().out.splitlines()
    assert "patch, seed 0: mend: failed: no" in lines
    assert lines[-3:] == ["written:", "  record/a", "  record/b"]


def test_a_traceback_is_for_who_asks(capsys: pytest.CaptureFixture[str]) -> None:
    run = Run((attacked(broken()),))
    show_run(run, [])
    assert "in line 7" not in (plain := capsys.readouterr().out) and "-v shows where" in plain
    show_run(run, [], verbose=True)
    assert "in line 7" in capsys.readouterr().out


def test_a_quiet_run_prints_the_table_and_reasons_on_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_table(Run((attacked(broken()),)))
    told = capsys.readouterr()
    assert told.out.startswith("┏") and told.out.rstrip().endswith("┘") and "failed" in told.out
    assert told.err == "mend: failed: no\n"
