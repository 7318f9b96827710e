"""Files: whole or not at all, announced, and read only where they can be."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

from benchbd.errors import RecordError
from benchbd.record.files import announcing, read_json, sha256, write, write_json, write_text
from benchbd.record.tensor_files import read_tensors, write_tensors


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fail_halfway(file: IO[bytes]) -> None:
    file.write(b"half of it")
    raise KeyError("a bug in the writer")


def no_space(file: IO[bytes]) -> None:
    file.write(b"half of it")
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(("save", "error"), [(fail_halfway, KeyError), (no_space, RecordError)])
def test_a_failing_writer_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, save: Callable[[IO[bytes]], None], error: type[Exception]
) -> None:
    path = write_text(tmp_path / "a.txt", "old")
    with pytest.raises(error):
        write(path, save)
    with pytest.raises(error):
        write(tmp_path / "b.txt", save)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    with pytest.raises(RecordError, match=r"cannot write .*: Permission denied"):
        write_text(tmp_path / "a.txt", "new")


def test_a_rename_that_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt" / "inside").mkdir(parents=True)
    with pytest.raises(RecordError, match="cannot write"):
        write_text(tmp_path / "a.txt", "new")
    assert names(tmp_path) == ["a.txt"]


def test_a_file_where_a_folder_is_needed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecordError, match="cannot write"):
        write_text(tmp_path / "file" / "a.txt", "new")


def test_new_files_get_the_usual_permissions(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        path = write_text(tmp_path / "a.txt", "x")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_every_file_is_announced(tmp_path: Path) -> None:
    heard: list[Path] = []
    with announcing(heard.append):
        written = [write_text(tmp_path / "a.txt", "x"), write_json(tmp_path / "b.json", {})]
    write_text(tmp_path / "c.txt", "x")
    assert heard == written


def test_nothing_there_and_a_folder_there(tmp_path: Path) -> None:
    for read in (read_tensors, read_json):
        with pytest.raises(RecordError, match="no file at"):
            read(tmp_path / "absent")
        with pytest.raises(RecordError, match="no file at"):
            read(tmp_path)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    path = write_tensors(tmp_path / "a.pt", {"schema": 1})
    monkeypatch.setattr(Path, "open", refuse)
    for read in (read_tensors, read_json):
        with pytest.raises(RecordError, match=r"cannot read .*: Permission denied"):
            read(path)


def test_json(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", {"b": 1, "a": [0.5, None]})
    assert path.read_bytes() == b'{\n "a": [\n  0.5,\n  null\n ],\n "b": 1\n}\n'
    assert read_json(path) == {"a": [0.5, None], "b": 1}
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, float("nan"))
    assert read_json(path) == {"a": [0.5, None], "b": 1}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(RecordError, match="is not JSON"):
        read_json(tmp_path / "a.json")


def test_digest(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a.txt", "abc")
    assert sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
