"""Notes on what was checked hold for the content that was checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchbd.errors import RecordError
from benchbd.leaderboard.board.build import read_board
from benchbd.leaderboard.board.trust import (
    TrustNote,
    add_notes,
    level_of,
    lowest,
    read_ledger,
    utility_of,
)
from benchbd.measure.target_rate import Utility
from support.made_cells import make_cell, store


def test_a_note_holds_for_its_digest_alone() -> None:
    ledger = {"key": TrustNote(digest="d", level="reproduced by another")}
    assert level_of(ledger, "key", "d") == "reproduced by another"
    assert level_of(ledger, "key", "other") == "as stated"
    assert level_of(ledger, "another", "d") == "as stated"


def test_a_level_never_sinks_for_the_same_content(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    add_notes(path, {"key": TrustNote(digest="d", level="reproduced by another", difference=0.0)})
    add_notes(
        path,
        {
            "key": TrustNote(digest="d", level="recomputed"),
            "two": TrustNote(digest="e", level="recomputed"),
        },
    )
    assert {key: note.level for key, note in read_ledger(path).items()} == {
        "key": "reproduced by another",
        "two": "recomputed",
    }
    add_notes(path, {"key": TrustNote(digest="new", level="recomputed")})
    assert read_ledger(path)["key"].level == "recomputed"


def test_notes_in_earlier_words_are_read(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    path.write_text(
        '{"one": {"digest": "d", "level": "reproduced", "difference": 0.0},'
        ' "two": {"digest": "d", "level": "self-reported"}}'
    )
    assert {key: note.level for key, note in read_ledger(path).items()} == {
        "one": "reproduced by another",
        "two": "as stated",
    }


def test_what_is_no_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    assert read_ledger(path) == {}
    path.write_text('{"key": {"digest": "d", "level": "sworn"}}')
    with pytest.raises(RecordError, match="notes on trust"):
        read_ledger(path)


def test_an_entry_claims_what_its_least_checked_seed_may(tmp_path: Path) -> None:
    cells = [make_cell(seed=0), make_cell(seed=1)]
    folder = store(cells, tmp_path / "results")
    notes = {
        cell.key: TrustNote(digest=cell.digest, level="reproduced by another") for cell in cells
    }
    assert read_board(folder, notes).sections[0].entries[0].trust == "reproduced by another"
    notes[cells[1].key] = TrustNote(digest=cells[1].digest, level="recomputed")
    assert read_board(folder, notes).sections[0].entries[0].trust == "recomputed"
    assert lowest([]) == "as stated"


def test_what_was_counted_stays_when_the_cell_is_reproduced(tmp_path: Path) -> None:
    counted = Utility(
        target_rate=0.5,
        target_rate_before=None,
        least_class=3,
        least_accuracy=0.1,
        attacked_recall=None,
        attacked_recall_before=None,
        agreement=None,
    )
    path = tmp_path / "trust.json"
    add_notes(path, {"key": TrustNote(digest="d", level="recomputed", utility=counted)})
    add_notes(path, {"key": TrustNote(digest="d", level="reproduced by another", difference=0.0)})
    ledger = read_ledger(path)
    assert ledger["key"].level == "reproduced by another"
    assert utility_of(ledger, "key", "d") == counted
    assert utility_of(ledger, "key", "other") is None
    add_notes(path, {"key": TrustNote(digest="new", level="recomputed")})
    assert utility_of(read_ledger(path), "key", "new") is None
