"""What a pickle would do, read from its opcodes; nothing here loads one."""

from __future__ import annotations

import io
import pickletools
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import torch

from benchbd.errors import UnsafeFile

MOST_BYTES = 2**26
"""The longest pickle that is looked through, and all that is looked through of one file."""

MOST_ENTRIES = 100_000
DEEPEST = 3
"""Archives within archives that are opened."""

DEEPEST_TUPLE = 20
"""Tuples within tuples; a table that is looked up by one takes twice the time for each, where it holds the same one twice."""

_MARK = object()
_PUT = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE")
_GET = ("GET", "BINGET", "LONG_BINGET")


def suspicious_imports(path: Path) -> list[str]:
    """What the pickles in `path` would import beyond tensors and plain values."""
    names: set[str] = set()
    for _, content in pickles_in(path):
        with suppress(Exception):  # a damaged pickle ends its list, it does not end the reading
            names.update(name for name in imports(content) if not is_harmless(name))
    return sorted(names)


def is_harmless(name: str) -> bool:
    """Whether a pickle of tensors and plain values names it."""
    module, _, what = name.rpartition(".")
    tensor_part = what.endswith("Storage") or what.startswith("_rebuild") or isinstance(getattr(torch, what, None), torch.dtype)
    return name == "collections.OrderedDict" or (module in ("torch", "torch._utils", "torch.storage") and tensor_part)


def require_shallow(path: Path) -> None:
    """Raise `UnsafeFile` for a file whose pickles would take their reader for ever, though they are short."""
    for place, content in pickles_in(path):
        walk = _Walk()
        with suppress(Exception):  # what is damaged is found by the reader; how deep it went until there counts
            for _ in walk.imports(io.BytesIO(content)):
                pass
        if walk.deepest > DEEPEST_TUPLE or len(content) >= MOST_BYTES:
            raise UnsafeFile(f"{path}: its pickle {place} nests tuples {walk.deepest} deep in {len(content):,} bytes; refused")


def imports(content: bytes) -> Iterator[str]:
    """What the pickles in `content`, one after another, import, as `module.name`."""
    stream = io.BytesIO(content)
    while stream.tell() < len(content):
        yield from _Walk().imports(stream)


class _Walk:
    """Follows the stack and the memo of a pickle as far as texts go, for the names of imports may come from both.

    On the stack lies, for each value, its text, how deep it is as a tuple, or None.
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
            self.memo[len(self.memo) if argument is None else argument] = self.stack[-1] if self.stack else None
            return
        pushed = [argument if isinstance(argument, str) else None] * len(opcode.stack_after)
        if opcode.name in _GET:
            pushed = [self.memo.get(argument)]  # type: ignore[list-item]
        elif opcode.name == "MARK":
            pushed = [_MARK]  # type: ignore[list-item]
        elif opcode.name == "DUP":
            pushed = self.stack[-1:] * 2  # type: ignore[assignment]
        popped = self._pop(opcode)
        if opcode.name.startswith("TUPLE"):
            depth = 1 + max((value for value in popped if isinstance(value, int)), default=0)
            self.deepest, pushed = max(self.deepest, depth), [depth]  # type: ignore[list-item]
        self.stack.extend(pushed)

    def _pop(self, opcode: pickletools.OpcodeInfo) -> list[object]:
        """Take from the stack what the opcode takes."""
        before, popped = opcode.stack_before, list[object]()
        count = len(before)
        if pickletools.markobject in before or (opcode.name == "POP" and self.stack[-1:] == [_MARK]):
            while self.stack and (value := self.stack.pop()) is not _MARK:
                popped.append(value)
            count = before.index(pickletools.markobject) if pickletools.markobject in before else 0
        start = max(0, len(self.stack) - count)
        popped += self.stack[start:]
        del self.stack[start:]
        return popped


def pickles_in(path: Path) -> Iterator[tuple[str, bytes]]:
    """The pickles in a file by their place in it: the file itself, or those in an archive and in archives within it."""
    with path.open("rb") as file:
        yield from _within(file, "", [MOST_BYTES], DEEPEST)


def _within(file: IO[bytes], place: str, left: list[int], depth: int) -> Iterator[tuple[str, bytes]]:
    """`left` is the number of bytes that may still be looked through."""
    try:
        archive = zipfile.ZipFile(file)
    except Exception:  # no archive, or a damaged one: then the file itself may be the pickle
        file.seek(0)
        yield place, file.read(left[0])
        return
    for entry in archive.infolist()[:MOST_ENTRIES]:
        with suppress(Exception), archive.open(entry) as inside:  # a damaged entry is passed over
            head = inside.read(2)
            if not (entry.filename.endswith((".pkl", ".pickle")) or head[:1] == b"\x80" or (head == b"PK" and depth > 1)):
                continue
            content = head + inside.read(max(0, left[0] - 2))
            left[0] -= len(content)
            yield from _within(io.BytesIO(content), f"{place}{entry.filename}", left, depth - 1)
