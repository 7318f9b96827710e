"""Notes on sensitivity: of which table they speak, and of which they do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchbd.errors import RecordError
from benchbd.leaderboard.board.build import board
from benchbd.leaderboard.board.contents import Sensitivity
from benchbd.leaderboard.board.row import row_of
from benchbd.leaderboard.board.sensitivity import add_studies, read_studies, study_of
from support.made_cells import make_cell, provided

SCORES = {"rate": 0.3, "epochs": 0.1}
TUNED = provided("mend", rate=0.1)


def noted(path: Path) -> Path:
    own = [
        make_cell(a, TUNED, seed, protocol="study@1") for a in ("patch", "blend") for seed in (0, 1)
    ]
    varied = make_cell("patch", provided("mend", rate=0.2), protocol="study@1")
    return add_studies(path, study_of([*own, varied], own[0], SCORES))


def test_a_study_speaks_of_its_defense_in_tables_of_the_same_data_and_model(tmp_path: Path) -> None:
    studies = read_studies(noted(tmp_path / "sensitivity.json"))
    cells = [
        make_cell("patch", TUNED),
        make_cell("patch", provided("mend", rate=0.5)),
        make_cell("patch", TUNED, protocol="other@1", model=provided("wide_net")),
        make_cell("patch", TUNED, protocol="same@2"),
    ]
    found = {
        section.title: [d.sensitivity for d in section.defenses]
        for section in board(map(row_of, cells), studies=studies).sections
    }
    told = Sensitivity(0.2, SCORES, ("blend", "patch"), (0, 1))
    assert found == {
        "trial@1 · pictures · net": [told, None],
        "other@1 · pictures · wide_net": [None],
        "same@2 · pictures · net": [told],
    }


def test_a_newer_study_takes_the_place_of_the_earlier(tmp_path: Path) -> None:
    path = noted(tmp_path / "sensitivity.json")
    own = make_cell("patch", TUNED)
    add_studies(path, study_of([own], own, {"rate": 0.5}))
    (study,) = read_studies(path).values()
    assert (study.attacks, study.scores) == (("patch",), {"rate": 0.5})


def test_what_is_no_note_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sensitivity.json"
    assert read_studies(path) == {}
    path.write_text('{"a": {"defense": "mend", "scores": {"rate": 7}}}')
    with pytest.raises(RecordError, match="not a file of notes on sensitivity"):
        read_studies(path)
