"""The flat forms for spreadsheets, data frames and programs."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pandas
import pytest

from benchbd.errors import RecordError
from benchbd.leaderboard.board.build import board, read_board
from benchbd.leaderboard.board.contents import Board
from benchbd.leaderboard.board.row import row_of
from benchbd.leaderboard.render.changes import differences
from benchbd.leaderboard.render.csv_parquet import CSV_COLUMNS, to_csv, to_parquet
from benchbd.leaderboard.render.json_document import read_document, to_json
from benchbd.record.files import write_text
from support.made_cells import make_cell, store


@pytest.fixture
def small() -> Board:
    cells = [make_cell("a", d, s, (900, 90, 720)) for d in ("x", "y") for s in (0, 1)]
    return board(
        map(
            row_of,
            [
                *cells,
                make_cell("b", "x"),
                make_cell("b", "y", code="timeout", reason="slow, =very"),
            ],
        )
    )


def test_csv_holds_numbers_as_numbers(small: Board) -> None:
    rows = {(r["attack"], r["defense"]): r for r in csv.DictReader(io.StringIO(to_csv(small)))}
    measured, failed = rows["a", "x"], rows["b", "y"]
    assert (float(measured["acc"]), float(measured["asr"]), measured["acc_low"]) == (0.9, 0.1, "")
    assert (measured["asr_by_seed"], measured["measured"], measured["seeds"]) == (
        "0.1 0.1",
        "2",
        "0 1",
    )
    assert (failed["status"], failed["acc"], failed["reason"], failed["place"]) == (
        "timeout",
        "",
        "slow, =very",
        "incomplete",
    )


def test_parquet_holds_the_same(small: Board) -> None:
    table = pandas.read_parquet(io.BytesIO(to_parquet(small)))
    assert tuple(table.columns) == CSV_COLUMNS
    assert table["acc"].dtype == "float64"
    assert table.query("attack == 'a'")["asr"].tolist() == [0.1, 0.1]
    assert pandas.isna(table.query("status == 'timeout'")["acc"]).all()


def test_parquet_of_nothing_has_its_columns() -> None:
    assert tuple(pandas.read_parquet(io.BytesIO(to_parquet(board([])))).columns) == CSV_COLUMNS


def test_json_names_every_cell_of_an_entry(small: Board) -> None:
    facts = json.loads(to_json(small))
    keys = {cell["key"] for cell in facts["cells"]}
    assert len(keys) == 6
    assert {key for entry in facts["sections"][0]["entries"] for key in entry["cells"]} == keys


def test_json_takes_one_line_for_each_cell(small: Board) -> None:
    assert (
        sum(
            line.startswith('{"attack": ') and '"seed": ' in line
            for line in to_json(small).splitlines()
        )
        == 6
    )


def test_differences_name_what_came_went_and_changed(tmp_path: Path) -> None:
    old = store(
        [make_cell("a"), make_cell("b"), make_cell("c", code="failed", reason="x")],
        tmp_path / "old",
    )
    new = store(
        [make_cell("a", hits=(900, 180, 720)), make_cell("c"), make_cell("d")], tmp_path / "new"
    )
    write_text(tmp_path / "board" / "leaderboard.json", to_json(read_board(old, {})))
    for before in (old, tmp_path / "board", tmp_path / "board" / "leaderboard.json"):
        found = {
            (change.place[1], change.kind): change.words for change in differences(before, new)
        }
        assert set(found) == {("a", "changed"), ("b", "gone"), ("c", "changed"), ("d", "new")}
        assert (
            found["a", "changed"]
            == "ACC 90.0 ASR 10.0 RC 80.0 DER 92.5 -> ACC 90.0 ASR 20.0 RC 80.0 DER 87.5"
        )
        assert found["c", "changed"] == "failed -> ACC 90.0 ASR 10.0 RC 80.0 DER 92.5"
    assert differences(old, old) == []


def test_a_change_too_small_for_a_table_is_a_change(tmp_path: Path) -> None:
    old, new = (
        [make_cell(hits=(900, hits, 720), baseline=make_cell().baseline)] for hits in (90, 91)
    )
    changes = differences(store(old, tmp_path / "old"), store(new, tmp_path / "new"))
    assert [change.kind for change in changes] == ["changed"]


def test_what_is_no_board_is_refused(tmp_path: Path) -> None:
    other = write_text(tmp_path / "leaderboard.json", '{"schema": 99}')
    with pytest.raises(RecordError, match="schema 1; build it again"):
        read_document(other)
    with pytest.raises(RecordError, match="no board at"):
        differences(tmp_path / "nowhere", other)
