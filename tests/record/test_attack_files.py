"""Whether an attack result is there: whole, of that key, and not the one that is to be replaced."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from benchbd.errors import RecordError
from benchbd.record.attack_files import (
    ATTACK_FILE,
    MANIFEST_FILE,
    is_stored,
    record_dir,
    require_noted,
)
from benchbd.record.attack_result import AttackResult


@pytest.fixture
def folder(stored: AttackResult, tmp_path: Path) -> Path:
    """A copy of the stored result, manifest and all."""
    return Path(shutil.copytree(stored.folder, tmp_path / "small"))


def test_what_is_whole_is_stored(folder: Path, stored: AttackResult) -> None:
    assert is_stored(folder, stored.key) and not is_stored(folder, "0" * 64)
    digest = json.loads((folder / MANIFEST_FILE).read_text())["sha256"]
    assert not is_stored(folder, stored.key, replaced=digest)
    assert is_stored(folder, stored.key, replaced="of another")
    require_noted(folder / ATTACK_FILE)


def test_what_is_cut_short_is_not(folder: Path, stored: AttackResult) -> None:
    path = folder / ATTACK_FILE
    path.write_bytes(path.read_bytes()[:-1])
    assert not is_stored(folder, stored.key)
    with pytest.raises(RecordError):
        require_noted(path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"key": 1, "sha256": 2}'])
def test_a_manifest_of_something_else_is_none(
    folder: Path, stored: AttackResult, content: str
) -> None:
    (folder / MANIFEST_FILE).write_text(content)
    assert not is_stored(folder, stored.key)
    assert not is_stored(folder / "nowhere", stored.key)


def test_a_file_that_was_moved_alone_has_nothing_to_be_held_against(result_file: Path) -> None:
    require_noted(result_file)


def test_results_are_made_here() -> None:
    assert record_dir() == Path("record")
