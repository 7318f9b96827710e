"""The content of a file, found by reading alone: its kind, the imports that its pickles would make,
and the tensors that it holds.
"""

from __future__ import annotations

import contextlib
import io
import json
import pickletools
import struct
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchbd.errors import BenchbdError, RecordError
from benchbd.importing.foreign_pickle import ALLOWED_NAMES, read_foreign
from benchbd.record.cell import is_whole
from benchbd.record.files import read_json, require_ordinary, sha256
from benchbd.record.pickles import BEFORE_1_6, imports, is_harmless, is_layer, pickles_in

MAX_HEADER_BYTES = 2**26
"""The longest header of a safetensors file that is read."""

MAX_HEAD_BYTES = 2**16
"""Bytes that are read to tell a pickle from another file. Within them, a file that is no pickle
shows that it is none.
"""

WITH_PICKLES = (
    "PyTorch archive",
    "PyTorch file from before 1.6",
    "zip archive",
    "pickle",
)
"""Kinds of files in which there may be pickles."""
CELL_KEYS = frozenset({"schema", "key", "cell", "digest"})
"""Keys that the JSON of every cell has."""

_IMPORTS = frozenset({"GLOBAL", "STACK_GLOBAL", "INST"})
_CALLS = frozenset({"REDUCE", "OBJ", "NEWOBJ", "NEWOBJ_EX", "INST"})
"""Opcodes that import something, and opcodes that call it."""


@dataclass(frozen=True)
class PickleContent:
    """One pickle of a file: its place in the file, its length, how often each opcode occurs, and
    the names that it would import. unread: why a part of it was not read; empty where all was read.
    """

    place: str
    size: int
    opcodes: dict[str, int]
    imports: tuple[str, ...]
    suspicious: tuple[str, ...]
    damaged: str = ""
    unread: str = ""


@dataclass(frozen=True)
class FileContent:
    """The facts about a file that `benchbd inspect` shows. holds: its content, in lines. escaping:
    names in an archive that lead out of its folder.
    """

    path: str
    kind: str
    size: int
    sha256: str
    pickles: tuple[PickleContent, ...] = ()
    holds: tuple[str, ...] = ()
    escaping: tuple[str, ...] = ()
    refusal: str = ""

    @property
    def suspicious(self) -> list[str]:
        return sorted({name for pickle in self.pickles for name in pickle.suspicious})

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"suspicious": self.suspicious}


@dataclass
class _Noted:
    holds: list[str] = field(default_factory=list)
    escaping: list[str] = field(default_factory=list)
    refusal: str = ""


def content_of(path: Path) -> FileContent:
    """Read the file at `path` and return what it holds. Raises `RecordError` when there is none or
    it is too large.
    """
    require_ordinary(path)
    kind, noted = kind_of(path), _Noted()
    pickles = tuple(_pickles(path)) if kind in WITH_PICKLES else ()
    noted.refusal = next(
        (f"{path}: {each.place or 'the file'}: {each.unread}" for each in pickles if each.unread),
        "",
    )
    try:
        noted.holds += _HOLDS.get(kind, lambda _: [])(path)
        noted.escaping += _escaping(path) if "archive" in kind else []
    except BenchbdError as error:
        noted.refusal = str(error)
    return FileContent(
        str(path),
        kind,
        path.stat().st_size,
        sha256(path),
        pickles,
        tuple(noted.holds),
        tuple(noted.escaping),
        noted.refusal,
    )


def kind_of(path: Path) -> str:
    """Return the kind of a file, judged by its first bytes."""
    with path.open("rb") as file:
        head = file.read(16)
    if head[:4] == b"PK\x03\x04":
        return "PyTorch archive" if _has_pickle(path) else "zip archive"
    if head[:8] == b"\x89HDF\r\n\x1a\n":
        return "HDF5"
    if head.startswith(BEFORE_1_6):
        return "PyTorch file from before 1.6"
    if head[:1] == b"\x80" or _is_old_pickle(path):
        return "pickle"
    if head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] < path.stat().st_size:
        return "safetensors"
    return "JSON" if head.lstrip()[:1] in (b"{", b"[") else "unknown"


def _has_pickle(path: Path) -> bool:
    with contextlib.suppress(Exception), zipfile.ZipFile(path) as archive:
        return any(name.endswith("/data.pkl") for name in archive.namelist())
    return False


def _is_old_pickle(path: Path) -> bool:
    """Return whether the bytes are a pickle without the mark of newer ones. A text fails at the
    first character that is no opcode.

    A pickle that calls what it imports need not come to an end.
    """
    with path.open("rb") as file:
        content = file.read(MAX_HEAD_BYTES)
    stream, seen = io.BytesIO(content), list[str]()
    # pickletools raises many kinds of errors for foreign bytes
    with contextlib.suppress(Exception):
        seen.extend(opcode.name for opcode, _, _ in pickletools.genops(stream))
    whole = seen[-1:] == ["STOP"] and stream.tell() >= len(content.rstrip())
    longer = len(content) == MAX_HEAD_BYTES and stream.tell() == MAX_HEAD_BYTES
    runs = not (_IMPORTS.isdisjoint(seen) or _CALLS.isdisjoint(seen))
    return len(seen) > 1 and (whole or longer or runs)


def _pickles(path: Path) -> Iterator[PickleContent]:
    for place, content, unread in pickles_in(path):
        counts, names, damaged = Counter[str](), list[str](), ""
        try:
            stream = io.BytesIO(content)
            while stream.tell() < len(content):
                counts.update(opcode.name for opcode, _, _ in pickletools.genops(stream))
        except Exception as error:
            damaged = str(error) or type(error).__name__
        with contextlib.suppress(Exception):
            names.extend(imports(content))
        if counts or unread:
            strange = sorted(
                {
                    name
                    for name in names
                    if not (is_harmless(name) or is_layer(name) or name in ALLOWED_NAMES)
                }
            )
            found = tuple(sorted(set(names)))
            yield PickleContent(
                place,
                len(content),
                dict(counts.most_common()),
                found,
                tuple(strange),
                damaged[:200],
                unread[:200],
            )


def opcodes(path: Path) -> Iterator[str]:
    """Yield every opcode of every pickle in the file, a line each, as `pickletools` writes them."""
    require_ordinary(path)
    for place, content, unread in pickles_in(path):
        stream = io.BytesIO(content)
        try:
            while stream.tell() < len(content):
                for opcode, argument, position in pickletools.genops(stream):
                    shown = "" if argument is None else f" {argument!r:.120}"
                    yield f"{place}:{position}: {opcode.name}{shown}"
        except Exception as error:
            yield f"{place}: ends here: {error}"
        if unread:
            yield f"{place}: {unread}"


def _archived(path: Path) -> list[str]:
    """Return the lines about a file that the restricted reader accepts. A file with suspicious
    imports is not read at all.
    """
    return list(_described(read_foreign(path), ""))


def _described(value: Any, name: str, depth: int = 0) -> Iterator[str]:
    if isinstance(value, torch.Tensor) or type(value).__module__ == "numpy":
        yield f"{name}: {str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    elif isinstance(value, dict) and depth < 3 and len(value) <= 400:
        for key, part in value.items():
            yield from _described(part, f"{name}.{key}" if name else str(key), depth + 1)
    elif isinstance(value, dict | list | tuple):
        yield f"{name}: {type(value).__name__} of {len(value)}"
    else:
        yield f"{name}: {value!r:.100}"


def _members(path: Path) -> list[str]:
    with _zip(path) as archive:
        return [
            f"{entry.filename!r}: {entry.file_size:,} bytes" for entry in archive.infolist()[:200]
        ]


def _escaping(path: Path) -> list[str]:
    """Return the names in an archive that lead out of the folder into which it would be
    unpacked.
    """
    with _zip(path) as archive:
        names = [entry.filename for entry in archive.infolist()]
    return [
        name
        for name in names
        if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/")
    ]


@contextlib.contextmanager
def _zip(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
        raise RecordError(f"{path} is a damaged archive: {error}") from None


def _header(path: Path) -> list[str]:
    """Return the tensors that the header of a safetensors file lists."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > min(MAX_HEADER_BYTES, path.stat().st_size):
            raise RecordError(f"{path} announces a header of {length:,} bytes; refused")
        text = file.read(length)
    try:
        header = json.loads(text)
        return [
            f"{name}: {each!r:.200}"
            if name == "__metadata__"
            else f"{name}: {each['dtype']} {tuple(each['shape'])}"
            for name, each in header.items()
        ]
    except (ValueError, RecursionError, AttributeError, LookupError, TypeError) as error:
        raise RecordError(f"{path} is damaged, or no safetensors file: {error}") from None


def _table(path: Path) -> list[str]:
    """Describe what a JSON file says; the digest that a cell carries must fit its content."""
    content = read_json(path)
    if isinstance(content, dict) and content.keys() >= CELL_KEYS and not is_whole(content):
        raise RecordError(
            f"{path} was changed after it was written: its digest does not fit its content"
        )
    return list(_described(content, "", depth=2))


def _groups(path: Path) -> list[str]:
    """Return the groups and data sets of an HDF5 file. Links are named and not followed."""
    from benchbd.importing.hdf5 import listed, opened

    with opened(path) as file:
        return list(listed(file))


_HOLDS = {
    "PyTorch archive": _archived,
    "PyTorch file from before 1.6": _archived,
    "zip archive": _members,
    "safetensors": _header,
    "JSON": _table,
    "HDF5": _groups,
}
