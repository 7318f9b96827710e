"""Files that are written while something runs are seen, but for those that are of no concern."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from benchbd.testing.written_files import record_writes


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_made_moved_and_removed_in_the_working_folder_is_seen(here: Path) -> None:
    with record_writes() as seen:
        Path("a").mkdir()
        Path("a/b.txt").write_text("x")
        Path("a/b.txt").rename("c.txt")
        Path("c.txt").unlink()
        Path("a").rmdir()
    assert [Path(each).name for each in seen] == ["a", "b.txt", "b.txt", "c.txt", "a"]


def test_what_is_only_read_is_not(here: Path) -> None:
    Path("a.txt").write_text("x")
    with record_writes() as seen:
        Path("a.txt").read_text()
    Path("after.txt").write_text("x")
    assert seen == []


def test_temporary_files_elsewhere_and_byte_code_are_no_concern(here: Path) -> None:
    with record_writes() as seen:
        with tempfile.TemporaryFile() as file:
            file.write(b"x")
        Path("__pycache__").mkdir()
        Path("__pycache__/a.pyc").write_bytes(b"x")
    assert seen == []


def test_one_within_another_hears_its_own_time(here: Path) -> None:
    with record_writes() as outer:
        Path("a").touch()
        with record_writes() as inner:
            Path("b").touch()
    assert (inner, outer) == (["b"], ["a", "b"])


@pytest.mark.slow
def test_what_another_process_writes_is_not_heard(here: Path) -> None:
    with record_writes() as seen:
        subprocess.run([sys.executable, "-c", "open('a', 'w')"], check=True)
    assert seen == [] and Path("a").exists()
