"""The flat forms for spreadsheets and data frames."""

from __future__ import annotations

import csv
import io

import pandas
import pytest

from benchbd.leaderboard.board.build import board
from benchbd.leaderboard.board.contents import Board
from benchbd.leaderboard.render.csv_parquet import CSV_COLUMNS, to_csv, to_parquet
from support.made_boards import two_by_two


@pytest.fixture
def small() -> Board:
    return two_by_two()


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
