"""The reader of files that another tool stored with `torch.save`: tables of tensors, plain values
and NumPy arrays, and nothing else.

PyTorch's own restricted unpickler does the reading. NumPy arrays are allowed in addition, but not
NumPy's own functions, which trust the bytes that they are given. Classes of this module replace
them; they accept plain numbers alone, and compare every size with the bytes that are there before
an array is made.
"""

from __future__ import annotations

import math
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import torch
from numpy.typing import NDArray

from benchbd.errors import RecordError, UnsafeFile
from benchbd.importing.set_aside import STAND_INS
from benchbd.record.files import require_ordinary
from benchbd.record.pickles import BEFORE_1_6, strange_names, suspicious_imports
from benchbd.record.seal import require_checksums, require_seal
from benchbd.record.tensor_files import require_unfolded

NUMBER_TYPES = frozenset({"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"})
"""The types that elements of an array may have, as NumPy spells them."""

MOST_VALUES = 2_000_000
"""The most values that a file may hold. A list that stands in several places counts in each of
them.
"""


def _latin(text: str, encoding: str) -> bytes:
    """Return bytes from their text, which is how pickles of protocol 2 write them."""
    if encoding != "latin1":
        raise ValueError(f"bytes written as {encoding}")
    return text.encode("latin1")


class _Type:
    """Stands for `numpy.dtype`."""

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        if code not in NUMBER_TYPES:
            raise ValueError(f"an array of {code!r}, which is no type of numbers")
        self.numpy = numpy.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] not in ("<", ">", "|", "="):
            raise ValueError(f"numbers in the byte order {state[1]!r}")
        self.numpy = self.numpy.newbyteorder(state[1])


class _Array:
    """Stands for `numpy.ndarray`. It is empty until its state is set."""

    def __init__(self) -> None:
        self.numpy: NDArray[Any] = numpy.zeros(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, columns_first, raw = state
        wanted = math.prod(shape) * kind.numpy.itemsize
        if (
            not isinstance(raw, bytes)
            or len(raw) != wanted
            or min(shape, default=0) < 0
            or len(shape) > 8
        ):
            raise ValueError(f"an array of shape {shape} that does not fit its bytes")
        self.numpy = numpy.frombuffer(raw, kind.numpy).reshape(
            shape, order="F" if columns_first else "C"
        )


def _empty(cls: type, shape: tuple[int, ...], code: bytes) -> _Array:
    return _Array()


def _scalar(kind: _Type, raw: bytes) -> Any:
    if len(raw) != kind.numpy.itemsize:
        raise ValueError("a number that does not fit its bytes")
    return numpy.frombuffer(raw, kind.numpy)[0].item()


ALLOWED: tuple[tuple[Callable[..., Any], str], ...] = (
    (_latin, "_codecs.encode"),
    (_Type, "numpy.dtype"),
    (_Array, "numpy.ndarray"),
    *((_empty, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    *((_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *STAND_INS,
)
"""The names that a file of tensors and arrays uses beyond those that PyTorch allows, and what
replaces them here.
"""

ALLOWED_NAMES = frozenset(name for _, name in ALLOWED)


def read_foreign(path: Path) -> dict[Any, Any]:
    """Return the table in `path`, with its arrays as NumPy arrays.

    Raises `UnsafeFile` when it would import anything but tensors, plain values and arrays of
    numbers (none of it is run), and `RecordError` for a file that is missing, damaged, without a
    table, or changed after it was written.
    """
    require_ordinary(path)
    if is_archive := not _is_before_1_6(path):
        _require_own_size(path)
    if names := _unwelcome(strange_names(path)):
        raise UnsafeFile(_unsafe(path, names))
    # a result of our own may be read here, too, and has a seal; before 1.6 there were no checksums
    if not require_seal(path) and is_archive:
        require_checksums(path)
    content = _plain(_loaded(path))
    if not isinstance(content, dict):
        raise RecordError(
            f"{path}: expected a table of parameters or of results, found a "
            f"{type(content).__name__}"
        )
    require_unfolded(path, content)
    return content


def _is_before_1_6(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(BEFORE_1_6)) == BEFORE_1_6


def _require_own_size(path: Path) -> None:
    """Raise `RecordError` for what is no archive, `UnsafeFile` for one of files larger than it."""
    try:
        with zipfile.ZipFile(path) as archive:
            declared = sum(entry.file_size for entry in archive.infolist())
    except Exception:  # a damaged archive raises many kinds of errors
        raise _no_archive(path) from None
    if declared > path.stat().st_size:
        raise UnsafeFile(f"{path} would unpack to more than its own size; refused")


def _unwelcome(names: list[str]) -> list[str]:
    """Return the names for which this module has no replacement."""
    return [name for name in names if name not in ALLOWED_NAMES]


def _loaded(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(list(ALLOWED)), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch has no common class for the errors of damaged files
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise RecordError(f"{path} cannot be read: {reason}") from None


def _unsafe(path: Path, names: list[str]) -> str:
    return (
        f"{path} is a pickle that would import {', '.join(names[:5])}; it was refused and nothing "
        "in it was run. Ask for the "
        "parameters alone (`torch.save(model.state_dict(), ...)`, or safetensors); `benchbd "
        "inspect` shows what is in the file"
    )


def _no_archive(path: Path) -> RecordError:
    if names := _unwelcome(suspicious_imports(path)):
        return UnsafeFile(_unsafe(path, names))
    return RecordError(
        f"{path} is damaged, or in none of the formats that PyTorch writes; store it again with "
        "`torch.save(model.state_dict(), ...)`"
    )


def _plain(value: Any) -> Any:
    """Return `value` with arrays in place of their replacements. Raises `UnsafeFile` for a value
    that contains itself.
    """
    left = [MOST_VALUES]
    try:
        return _unwrapped(value, left)
    except RecursionError:
        raise UnsafeFile("lists nested without end; refused") from None


def _unwrapped(value: Any, left: list[int]) -> Any:
    left[0] -= 1
    if left[0] < 0:
        raise UnsafeFile(f"a file that unfolds to more than {MOST_VALUES:,} values; refused")
    if isinstance(value, dict):
        return {key: _unwrapped(part, left) for key, part in value.items()}
    if isinstance(value, list | tuple):
        parts = [_unwrapped(part, left) for part in value]
        return parts if isinstance(value, list) else tuple(parts)
    return value.numpy if isinstance(value, _Array) else value
