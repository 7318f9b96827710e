"""Findings on the disk: sealed, whole, and each key in a folder of its own."""

from __future__ import annotations

import json
from pathlib import Path

from benchbd.record.keys import SCHEMA
from benchbd.record.plugin_record import PluginRecord
from benchbd.record.stored_findings import (
    FINDINGS,
    StoredFindings,
    findings_folder,
    findings_key,
    read_findings,
    write_findings,
)

TAC = PluginRecord(name="tac", provider="here", version="1", results_version=1, params={"n": 8})


def made(key: str = "a" * 64, files: tuple[str, ...] = ()) -> StoredFindings:
    numbers = {"backdoored": {"share": 0.5}}
    return StoredFindings(
        schema=SCHEMA,
        key=key,
        analysis=TAC,
        attack="b" * 64,
        defenses={},
        numbers=numbers,
        files=files,
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = write_findings(tmp_path, made())
    assert read_findings(tmp_path) == written and written.is_sealed()


def test_a_changed_number_is_not_believed(tmp_path: Path) -> None:
    write_findings(tmp_path, made())
    content = json.loads((tmp_path / FINDINGS).read_text())
    content["numbers"]["backdoored"]["share"] = 0.1
    (tmp_path / FINDINGS).write_text(json.dumps(content))
    assert read_findings(tmp_path) is None


def test_findings_without_their_pictures_are_not_whole(tmp_path: Path) -> None:
    write_findings(tmp_path, made(files=("maps.png",)))
    assert read_findings(tmp_path) is None
    (tmp_path / "maps.png").touch()
    assert read_findings(tmp_path) is not None


def test_findings_of_another_key_keep_their_folder(tmp_path: Path) -> None:
    plain = findings_folder(tmp_path, "tac", "a" * 64)
    write_findings(plain, made("a" * 64))
    assert plain == tmp_path / "analysis" / "tac" == findings_folder(tmp_path, "tac", "a" * 64)
    other = findings_folder(tmp_path, "tac", "c" * 64)
    assert other == tmp_path / "analysis" / "tac-cccccccc"


def test_the_key_is_of_the_models_and_of_the_parameters() -> None:
    one = findings_key("attack", {"anp": "1", "ft": "2"}, TAC)
    assert one == findings_key("attack", {"ft": "2", "anp": "1"}, TAC)
    others = {
        findings_key("other", {"anp": "1", "ft": "2"}, TAC),
        findings_key("attack", {"anp": "1"}, TAC),
        findings_key("attack", {"anp": "1", "ft": "3"}, TAC),
        findings_key("attack", {"anp": "1", "ft": "2"}, TAC.model_copy(update={"params": {}})),
    }
    assert len(others | {one}) == 5
