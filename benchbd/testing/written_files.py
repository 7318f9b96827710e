"""A record of the files that a plugin writes while it runs."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_recorders: list[list[str]] = []
_installed: list[bool] = []


@contextmanager
def record_writes() -> Iterator[list[str]]:
    """Give a list of the files that are opened for writing, made, moved or removed inside the
    block, without temporary ones.
    """
    if not _installed:
        sys.addaudithook(_hear)
        _installed.append(True)
    tempfile.gettempdir()  # found before the hook is installed, because finding it writes a file
    seen: list[str] = []
    _recorders.append(seen)
    try:
        yield seen
    finally:
        _recorders.remove(seen)


def _hear(event: str, given: tuple[Any, ...]) -> None:
    if not _recorders or event not in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"):
        return
    if event == "open" and not (isinstance(given[2], int) and given[2] & WRITING):
        return
    if isinstance(given[0], str | bytes | os.PathLike) and not _allowed(
        os.path.abspath(os.fsdecode(given[0]))  # noqa: PTH100
    ):
        for recorder in _recorders:
            recorder.append(os.fsdecode(given[0]))


def _allowed(path: str) -> bool:
    """Return whether a file may be written: a temporary file outside of the working directory, a
    device, or byte code of an imported module.
    """
    here, temporary = str(Path.cwd()), tempfile.gettempdir()
    if path.startswith(here + os.sep) and here != temporary:
        return "__pycache__" in path
    # a temporary file without a name is opened as the folder that it would lie in
    elsewhere = path == temporary or path.startswith((temporary + os.sep, "/dev/", "/proc/"))
    return elsewhere or "__pycache__" in path
