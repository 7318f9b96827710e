"""`benchbd reproduce`: both figures of each metric, a verdict, and a note of a success alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchbd.audit import reproduce as reproducing
from benchbd.audit.reproduce import Reproduction
from benchbd.errors import RecordError
from benchbd.leaderboard.board.trust import read_ledger
from benchbd.record.cell import Cell
from benchbd.record.cells import read_cell
from benchbd.record.files import write_json
from support.command_line import benchbd
from support.made_cells import make_cell, store


@pytest.fixture
def key(tmp_path: Path) -> str:
    """Of a stored cell."""
    cell = make_cell()
    folder = tmp_path / "leaderboard" / "results" / "trial"
    write_json(folder / f"0-{cell.key[:12]}.json", cell.to_json())
    return cell.key


@pytest.fixture
def comes_out(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`comes_out(cell, differing)`: what is made here, and of how many images it differs."""

    def say(here: Cell, clean: int | None = 0, triggered: int | None = 0) -> None:
        found = Reproduction(make_cell(), here, clean, triggered)
        monkeypatch.setattr(reproducing, "reproduce", lambda *_: found)

    return say


def test_the_same_to_the_last_prediction(key: str, comes_out: Any, tmp_path: Path) -> None:
    comes_out(make_cell())
    ended = benchbd("reproduce", key[:12], "--note", "trust.json", cwd=tmp_path)
    lines = ended.stdout.splitlines()
    assert ended.returncode == 0 and "reproduced, prediction by prediction" in lines
    assert lines[0] == "patch, mend on pictures, net, seed 0"
    assert "  ACC    90.0    90.0  +0.00" in lines
    assert "  predictions that differ: 0 of 900 triggered images" in lines
    assert (tmp_path / "trust.json").is_file()


def test_on_another_processor_the_interval_is_told_and_noted(
    key: str, comes_out: Any, tmp_path: Path
) -> None:
    comes_out(make_cell(hits=(901, 90, 720)), clean=5)
    ended = benchbd("reproduce", key[:12], "--note", "trust.json", cwd=tmp_path)
    assert ended.returncode == 0
    (verdict,) = [line for line in ended.stdout.splitlines() if line.startswith("reproduced")]
    assert "ACC 89.0 to 91.0" in verdict and verdict.endswith("not prediction by prediction")
    (note,) = read_ledger(tmp_path / "trust.json").values()
    assert (note.exact, note.difference) == (False, pytest.approx(0.001))


def test_what_lies_outside_is_not_noted(key: str, comes_out: Any, tmp_path: Path) -> None:
    comes_out(make_cell(hits=(800, 90, 720)), None, None)
    ended = benchbd("reproduce", key[:12], "--note", "trust.json", cwd=tmp_path)
    assert ended.returncode == 1
    assert "not reproduced: ACC 80.0 outside of the tolerance" in ended.stdout
    assert "-10.00" in ended.stdout and "predictions that differ" not in ended.stdout
    assert not (tmp_path / "trust.json").exists()


def test_a_key_that_nothing_has(tmp_path: Path) -> None:
    ended = benchbd("reproduce", "0123456789", cwd=tmp_path)
    assert ended.returncode == 5 and "no result has a key" in ended.stderr


def test_a_sample_prints_its_seed_runs_each_and_notes_those_that_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three cells two are drawn; one cannot be made again, which does not stop the other."""
    cells = [make_cell(seed=seed) for seed in range(3)]
    folder = store(cells, tmp_path / "leaderboard" / "results")
    first, second = reproducing.draw(folder, 2, 7)

    def made(path: Path, *_: object) -> Reproduction:
        if path.samefile(second):
            raise RecordError("cannot be made")
        return Reproduction(read_cell(path), read_cell(path), 0, 0)

    monkeypatch.setattr(reproducing, "reproduce", made)
    words = ("reproduce", "--sample", "2", "--seed", "7", "--note", "trust.json")
    ended = benchbd(*words, cwd=tmp_path)
    lines = ended.stdout.splitlines()
    assert ended.returncode == 1
    assert lines[0] == "a sample of 2 drawn with the seed 7"
    assert "not reproduced: cannot be made" in lines
    assert lines[-1] == "1 of 2 reproduced"
    noted = read_ledger(tmp_path / "trust.json")
    assert {key: note.level for key, note in noted.items()} == {
        read_cell(first).key: "reproduced by another"
    }


def test_a_seed_that_is_not_given_is_drawn_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = store([make_cell(seed=seed) for seed in range(9)], tmp_path / "leaderboard/results")
    asked: list[Path] = []

    def made(path: Path, *_: object) -> Reproduction:
        asked.append(path.resolve())
        return Reproduction(read_cell(path), read_cell(path), 0, 0)

    monkeypatch.setattr(reproducing, "reproduce", made)
    ended = benchbd("reproduce", "--sample", "2", cwd=tmp_path)
    seed = int(ended.stdout.splitlines()[0].rpartition(" ")[2])
    assert ended.returncode == 0
    assert asked == [path.resolve() for path in reproducing.draw(folder, 2, seed)]


@pytest.mark.parametrize("words", [(), ("abcdef", "--sample", "2")], ids=["neither", "both"])
def test_a_key_or_a_sample_is_asked_for(words: tuple[str, ...], tmp_path: Path) -> None:
    ended = benchbd("reproduce", *words, cwd=tmp_path)
    assert ended.returncode == 2 and "expected either KEY or --sample" in ended.stderr
