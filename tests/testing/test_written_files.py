"""Files that are written are noticed; temporary ones and those that are only read are not."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from benchbd.testing.written_files import writes


def test_what_is_made_changed_and_removed_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").write_text("before")
    with writes() as seen:
        Path("new").write_text("text")
        Path("folder").mkdir()
        Path("there").unlink()
    assert seen == ["new", "folder", "there"]
    Path("later").write_text("text")
    assert len(seen) == 3


def test_reading_and_temporary_files_are_let_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").write_text("before")
    monkeypatch.chdir(tmp_path)
    with writes() as seen, tempfile.TemporaryFile() as file:
        file.write(b"text")
        Path("there").read_text()
    assert seen == []
