"""The imports that a pickle would make, read from its opcodes. Nothing here loads a pickle."""

from __future__ import annotations

import io
import pickletools
import re
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

import torch

from benchbd.errors import RecordError, UnsafeFile

MAX_PICKLE_BYTES = 2**26
"""The size of the longest pickle that is searched, and of all parts of one file that are searched
in addition to the pickles of PyTorch.
"""

MOST_ENTRIES = 100_000
"""The most entries of an archive that are looked at."""

MAIN_ENTRY = "data.pkl"
"""The entry of an archive that PyTorch loads. Its reader does not distinguish capital from small
letters.
"""

DEEPEST_ARCHIVE = 3
"""How deep archives within archives are opened."""

DEEPEST_TUPLE = 20
"""How deep tuples may be nested. Each level that holds the same tuple twice doubles the time in
which a table is looked up by it.
"""

PLAIN = frozenset(
    {
        "collections.OrderedDict",
        "collections.Counter",
        "builtins.set",
        "__builtin__.set",
        "torch.Size",
        "torch.device",
    }
)
"""Names that a pickle of plain values imports. None of them makes a value that is larger than its
parts.
"""

BEFORE_1_6 = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The first bytes of a file of PyTorch that is no archive. They are a pickle of a fixed number, the
first of five pickles; behind these lie the numbers of the tensors.
"""

PICKLES_BEFORE_1_6 = 5

_ARCHIVE = b"PK\x03\x04"
_STACK_MARK = object()
_PUT = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE")
_GET = ("GET", "BINGET", "LONG_BINGET")


def suspicious_imports(path: Path) -> list[str]:
    """Return the names that the pickles in `path` would import and that are neither tensors nor
    plain values.
    """
    names: set[str] = set()
    for pickle in pickles_in(path):
        with suppress(Exception):  # a damaged pickle ends its list, it does not end the reading
            names.update(name for name in imports(pickle.content) if not is_harmless(name))
    return sorted(names)


def is_harmless(name: str) -> bool:
    """Return whether a pickle of tensors and plain values may import this name."""
    module, _, what = name.rpartition(".")
    tensor_part = (
        what.endswith("Storage")
        or what.startswith("_rebuild")
        or isinstance(getattr(torch, what, None), torch.dtype)
    )
    return name in PLAIN or (module in ("torch", "torch._utils", "torch.storage") and tensor_part)


def is_layer(name: str) -> bool:
    """Return whether the name is that of a class of layers of PyTorch. A model that was stored as
    an object imports some of them. It is not read, but it does no harm.
    """
    return re.fullmatch(r"torch\.nn\.(modules|parameter)(\.[a-z_]+)*\.[A-Z]\w*", name) is not None


def strange_names(path: Path) -> list[str]:
    """Return the names that `torch.load` would import from the archive at `path` and that are
    neither tensors nor plain values. It is called before `torch.load`.

    Raises `RecordError` unless the pickle can be followed to its end, and `UnsafeFile` for a short
    pickle that would keep its reader busy without end.
    """
    content, deepest = _main_pickle(path), 0
    if len(content) >= MAX_PICKLE_BYTES:
        raise UnsafeFile(
            f"{path}: its pickle has {len(content):,} bytes, fewer than {MAX_PICKLE_BYTES:,} are "
            "looked "
            "through; refused"
        )
    try:
        stream, names = io.BytesIO(content), set[str]()
        while stream.tell() < len(content):
            walk = _Walk()
            names.update(name for name in walk.imports(stream) if not is_harmless(name))
            deepest = max(deepest, walk.deepest)
    except Exception as error:  # pickletools raises many kinds of errors for foreign bytes
        raise _damaged(path, error) from None
    if deepest > DEEPEST_TUPLE:
        raise UnsafeFile(
            f"{path}: its pickle nests tuples {deepest} deep in {len(content):,} bytes; refused"
        )
    return sorted(names)


def _main_pickle(path: Path) -> bytes:
    """Return the bytes that PyTorch loads. They come from its own reader, because another reader
    may find another entry under that name.
    """
    with path.open("rb") as file:
        head = file.read(len(BEFORE_1_6))
        if head == BEFORE_1_6:
            return pickles_before_1_6(head + file.read(MAX_PICKLE_BYTES))
        # PyTorch reads it as a bare pickle, even if an archive follows
        if head[: len(_ARCHIVE)] != _ARCHIVE:
            raise RecordError(
                f"{path} cannot be read: it is no archive from its first byte on; store it again"
            )
    try:
        return bytes(torch._C.PyTorchFileReader(str(path)).get_record(MAIN_ENTRY))
    except Exception as error:  # a damaged archive raises many kinds of errors
        raise _damaged(path, error) from None


def pickles_before_1_6(content: bytes) -> bytes:
    """Return the five pickles at the beginning of a file of PyTorch before 1.6, without the numbers
    behind them. Of another file, or of a damaged one, return all bytes.
    """
    if not content.startswith(BEFORE_1_6):
        return content
    stream = io.BytesIO(content)
    with suppress(Exception):  # pickletools raises many kinds of errors for foreign bytes
        for _ in range(PICKLES_BEFORE_1_6):
            for _opcode in pickletools.genops(stream):
                pass
        return content[: stream.tell()]
    return content


def _damaged(path: Path, error: Exception) -> RecordError:
    reason = (str(error) or type(error).__name__).splitlines()[0][:200]
    return RecordError(f"{path} cannot be read: {reason}; store it again, or name another file")


def imports(content: bytes) -> Iterator[str]:
    """Yield the imports of the pickles in `content`, one after the other, as `module.name`."""
    stream = io.BytesIO(content)
    while stream.tell() < len(content):
        yield from _Walk().imports(stream)


class _Walk:
    """A walk over a pickle that follows its stack and its memo as far as they hold texts, because
    the names of imports may come from both.

    For each value the stack holds its text, or its depth if it is a tuple, or None.
    """

    def __init__(self) -> None:
        self.deepest = 0
        self.stack: list[object] = []
        self.memo: dict[object, object] = {}

    def imports(self, stream: IO[bytes]) -> Iterator[str]:
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name in ("GLOBAL", "INST"):
                yield str(argument).replace(" ", ".", 1)
            elif opcode.name == "STACK_GLOBAL":
                yield ".".join(text if isinstance(text, str) else "?" for text in self.stack[-2:])
            elif opcode.name.startswith("EXT"):
                yield f"copyreg.extension_{argument}"
            self._follow(opcode, argument)

    def _follow(self, opcode: pickletools.OpcodeInfo, argument: object) -> None:
        if opcode.name in _PUT:
            self.memo[len(self.memo) if argument is None else argument] = (
                self.stack[-1] if self.stack else None
            )
            return
        pushed = [argument if isinstance(argument, str) else None] * len(opcode.stack_after)
        if opcode.name in _GET:
            pushed = [self.memo.get(argument)]  # type: ignore[list-item]
        elif opcode.name == "MARK":
            pushed = [_STACK_MARK]  # type: ignore[list-item]
        elif opcode.name == "DUP":
            pushed = self.stack[-1:] * 2  # type: ignore[assignment]
        popped = self._pop(opcode)
        if opcode.name.startswith("TUPLE"):
            depth = 1 + max((value for value in popped if isinstance(value, int)), default=0)
            self.deepest, pushed = max(self.deepest, depth), [depth]  # type: ignore[list-item]
        self.stack.extend(pushed)

    def _pop(self, opcode: pickletools.OpcodeInfo) -> list[object]:
        """Take from the stack what the opcode takes, and return it."""
        before, popped = opcode.stack_before, list[object]()
        count = len(before)
        if pickletools.markobject in before or (
            opcode.name == "POP" and self.stack[-1:] == [_STACK_MARK]
        ):
            while self.stack and (value := self.stack.pop()) is not _STACK_MARK:
                popped.append(value)
            count = before.index(pickletools.markobject) if pickletools.markobject in before else 0
        start = max(0, len(self.stack) - count)
        popped += self.stack[start:]
        del self.stack[start:]
        return popped


class Pickle(NamedTuple):
    """A pickle and its place in a file. unread: why not all of it is here."""

    place: str
    content: bytes
    unread: str = ""


class _Left:
    """The number of bytes that may still be searched. The pickle that PyTorch loads has a number of
    its own, so that no other entry can use it up.
    """

    def __init__(self) -> None:
        self.bytes = {True: MAX_PICKLE_BYTES, False: MAX_PICKLE_BYTES}

    def read(self, file: IO[bytes], place: str) -> Pickle:
        main = _is_main(place)
        content = file.read(self.bytes[main])
        self.bytes[main] -= len(content)
        return Pickle(
            place,
            content,
            f"only {len(content):,} bytes of it were looked through" if file.read(1) else "",
        )


def pickles_in(path: Path) -> Iterator[Pickle]:
    """Yield the pickles in a file: the file itself, or those in an archive and in archives within
    it.
    """
    with path.open("rb") as file:
        yield from _within(file, "", _Left(), DEEPEST_ARCHIVE)


def _within(file: IO[bytes], place: str, left: _Left, depth: int) -> Iterator[Pickle]:
    """Yield the file itself unless it begins as an archive, and what is in it: behind a pickle may
    lie an archive.
    """
    if file.read(len(_ARCHIVE)) != _ARCHIVE:
        file.seek(0)
        whole = left.read(file, place)
        begun = pickles_before_1_6(whole.content)
        is_cut = len(begun) < len(whole.content)
        yield Pickle(place, begun) if is_cut else whole
    try:
        archive = zipfile.ZipFile(file)
    except Exception:  # no archive, or a damaged one
        return
    entries = sorted(archive.infolist(), key=lambda entry: not _is_main(entry.filename))
    for entry in entries[:MOST_ENTRIES]:
        yield from _entry(archive, entry, place, left, depth)
    if len(entries) > MOST_ENTRIES:
        yield Pickle(
            place, b"", f"only {MOST_ENTRIES:,} of its {len(entries):,} entries were looked at"
        )


def _entry(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, place: str, left: _Left, depth: int
) -> Iterator[Pickle]:
    """Yield the pickles of an entry that is called a pickle or begins like one. An entry that is
    called a pickle has to be read whole. One that only begins like a pickle need not be, because
    tensors may begin so, too.
    """
    called, where = entry.filename.lower().endswith((".pkl", ".pickle")), f"{place}{entry.filename}"
    try:
        with archive.open(entry) as inside:
            head = inside.read(len(_ARCHIVE))
            inside.seek(0)
            if head == _ARCHIVE and depth > 1:
                yield from _within(
                    io.BytesIO(left.read(inside, where).content), where, left, depth - 1
                )
            elif called or head[:1] == b"\x80":
                found = left.read(inside, where)
                yield found if called else found._replace(unread="")
    except Exception as error:  # a damaged archive raises many kinds of errors
        if called:
            yield Pickle(where, b"", f"it cannot be read: {error}")


def _is_main(place: str) -> bool:
    return place.lower().endswith(f"/{MAIN_ENTRY}")
