"""Reading and writing of stored files, whole or not at all: bytes, texts and JSON.

A write goes to a temporary name in the same folder, is flushed to the disk and renamed into place.
The temporary name tells which process writes the file, so that files of dead processes can be
removed. Files of tensors are read and written by `tensor_files.py`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any

from benchbd.errors import RecordError, Unwritable
from benchbd.record.owner import Owner, is_alive

MAX_FILE_BYTES = 16 * 2**30
"""The largest file that is read."""

MAX_JSON_BYTES = 2**26
"""The largest JSON file that is read; nested lists of that size stay within some hundred megabytes.
"""

_TEMPORARY = re.compile(r"\..+\.(?P<place>[0-9a-f]{8})-(?P<pid>\d+)-(?P<born>\d*)\.\w{8}\.part")
DEEPEST_JSON = 100
"""The greatest depth of nested lists and tables in a JSON file. Every reader can go as deep, and no
result comes near it.
"""

MOST_DIGITS = 300
"""The most digits of a whole number in a JSON file. A longer number cannot become a float."""

_announce: ContextVar[Callable[[Path], None] | None] = ContextVar("announce", default=None)


@contextmanager
def announcing(announce: Callable[[Path], None]) -> Iterator[None]:
    """Call `announce` with the path of every file written inside."""
    token = _announce.set(announce)
    try:
        yield
    finally:
        _announce.reset(token)


def write(path: Path, save: Callable[[IO[bytes]], object]) -> Path:
    """Let `save` fill a file that appears at `path` complete or not at all. Raises `Unwritable`."""
    temporary, me = None, Owner.me()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent,
            prefix=f".{path.name}.{me.place}-{me.pid}-{me.born}.",
            suffix=".part",
            delete=False,
        ) as file:
            temporary = Path(file.name)
            save(file)
            file.flush()
            os.fsync(file.fileno())
        with suppress(PermissionError):  # FAT and some mounts have one mode for all files
            temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise Unwritable(
            f"cannot write {path}: {error.strerror or error}; nothing there was changed"
        ) from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    if (announce := _announce.get()) is not None:
        announce(path)
    return path


def is_temporary(path: Path) -> bool:
    """Return whether `write` gave a file its name, to rename it later."""
    return _TEMPORARY.fullmatch(path.name) is not None


def writer_lives(path: Path) -> bool | None:
    """Return whether the process that writes a temporary file is alive; None where that cannot be
    seen.
    """
    told = _TEMPORARY.fullmatch(path.name)
    if told is None or told["place"] != Owner.me().place:
        return None
    return is_alive(int(told["pid"]), told["born"])


def write_bytes(path: Path, content: bytes) -> Path:
    """Write a file in one step, so that it is never seen half-written. Raises `Unwritable`."""
    return write(path, lambda file: file.write(content))


def write_text(path: Path, text: str) -> Path:
    """Write a text as UTF-8, like `write_bytes`. Raises `Unwritable`."""
    return write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> Path:
    """Write a value as JSON with sorted keys, like `write_bytes`. Raises `Unwritable`, and
    `ValueError` for a number that is not finite.
    """
    return write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Return the content of a JSON file. Raises `RecordError` for a file that is missing, too large
    or not JSON, or that holds something that no file of benchbd holds: a number of hundreds of
    digits, a hundred nested lists, half of a surrogate pair.
    """
    require_ordinary(path, MAX_JSON_BYTES)
    try:
        content = json.loads(path.read_bytes().decode(), parse_int=_whole_number)
        json.dumps(content, ensure_ascii=False).encode()
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path} is not JSON: {error}; make it again") from None
    if not _is_shallow(content):
        raise RecordError(f"{path} is nested deeper than {DEEPEST_JSON} lists; make it again")
    return content


def _whole_number(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number has {len(digits)} digits, at most {MOST_DIGITS} are read")
    return int(digits)


def _is_shallow(content: Any) -> bool:
    level = [content] if isinstance(content, dict | list) else []
    for _ in range(DEEPEST_JSON):
        inside = (part.values() if isinstance(part, dict) else part for part in level)
        level = [each for part in inside for each in part if isinstance(each, dict | list)]
        if not level:
            return True
    return False


def sha256(path: Path) -> str:
    """Return the sha256 of a file's content, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_ordinary(path: Path, most: int | None = None) -> None:
    """Raise `RecordError` unless `path` is a file that can be read, of at most `most` bytes
    (unset: `MAX_FILE_BYTES`).
    """
    try:
        if not path.is_file():
            raise RecordError(f"no file at {path}")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror or error}") from None
    if size > (limit := MAX_FILE_BYTES if most is None else most):
        raise RecordError(f"{path} has {size:,} bytes; at most {limit:,} are read")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
