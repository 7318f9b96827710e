"""Files of tensors: written whole or not at all, sealed by a digest of all their bytes, and read
without running anything.

A read accepts tensors, numbers, texts, lists and tables, and nothing else: never a pickle that
could run. Tensors that are not finite are neither written nor read, because numbers computed from
them would look like results.
"""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import torch

from benchbd.errors import Diverged, RecordError, UnsafeFile
from benchbd.record.files import require_ordinary, write
from benchbd.record.keys import canonical_json
from benchbd.record.pickles import strange_names, suspicious_imports
from benchbd.record.seal import require_checksums, require_seal, seal

MAX_UNFOLDED_BYTES = 2**26
"""The number of bytes by which the tensors of a file may be larger than the file, because several
of them may share what is stored once.
"""

Place = tuple[()] | tuple["Place", object]
"""The place of a value in nested lists and tables: the place of the list or table that holds it,
and its name or number there. It is put into words only where an error needs it, because a foreign
file may be deeply nested.
"""


def write_tensors(
    path: Path, content: dict[str, Any], *, maker: str = "", aside: Collection[str] = ()
) -> Path:
    """Store tensors, numbers, texts, lists and tables for `read_tensors`.

    maker: who computed them, and in which number format. aside: the entries of `content` that only
    people look at, such as scores that are not defined everywhere; they alone may hold NaN and
    infinity. Raises `Diverged`, with nothing written, where another one holds them.
    """
    if (strange := _not_finite(content, aside)) is not None:
        raise Diverged(
            f"{maker or path.name} came to numbers that are not finite, in {strange}; nothing was "
            "stored; compute in float32 (`--set recipe.precision=fp32`) or lower the learning rate"
        )
    return write(path, lambda file: _save_tensors(_shown(content), file))


def _shown(value: Any) -> Any:
    """Return `value` with tensors that own their memory. Of a tensor that is a part of a larger
    one, PyTorch would store the larger one.
    """
    if isinstance(value, dict):
        return {name: _shown(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_shown, value))
    if (
        isinstance(value, torch.Tensor)
        and value.layout == torch.strided
        and value.untyped_storage().nbytes() > value.nbytes
    ):
        return value.clone()
    return value


def _save_tensors(content: dict[str, Any], file: IO[bytes]) -> None:
    try:
        torch.save(content, file)
    except RuntimeError as error:
        # the error of torch on a full disk does not name the cause
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise
    seal(file)


def read_tensors(path: Path, *, aside: Collection[str] = ()) -> dict[str, Any]:
    """Read what `write_tensors` stored, with the same entries `aside`.

    Raises `UnsafeFile` for a pickle that names anything but tensors and plain values (it is not
    run), and `RecordError` for a file that is missing, cut short, changed after it was written, not
    written by benchbd, or so old that it holds tensors that are not finite.
    """
    require_ordinary(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _require_sizes(path, archive)
    except RecordError:
        raise
    except Exception:  # a damaged archive raises many kinds of errors
        raise _refusal(path) from None
    # PyTorch itself accepts some that make much of little, such as `bytearray`
    if names := strange_names(path):
        raise UnsafeFile(_unsafe(path, names))
    if not require_seal(path):  # written when there was no seal yet
        require_checksums(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch has no common class for the errors of damaged files
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise RecordError(f"{path} cannot be read: {reason}; make it again") from None
    if not isinstance(content, dict) or "schema" not in content:
        raise RecordError(
            f"{path} was not written by benchbd: expected a table with an entry 'schema'"
        )
    require_unfolded(path, content)
    if (strange := _not_finite(content, aside)) is not None:
        raise RecordError(
            f"{path} holds numbers that are not finite, in {strange}; make it again, in float32 if "
            "they come again (`--set recipe.precision=fp32`)"
        )
    return content


def require_unfolded(path: Path, content: Any) -> None:
    """Raise `UnsafeFile` when the tensors in `content` are far larger than the file that they came
    from.
    """
    total = sum(value.numel() * value.element_size() for _, value in tensors_in(content))
    if total > path.stat().st_size + MAX_UNFOLDED_BYTES:
        raise UnsafeFile(
            f"{path}: its tensors would unfold to {total:,} bytes, the file has "
            f"{path.stat().st_size:,}; refused"
        )


def tensors_in(content: Any) -> Iterator[tuple[Place, torch.Tensor]]:
    """Yield every tensor in nested lists and tables, with its place. A tensor is yielded once for
    each list or table that holds it, and no list is entered twice.
    """
    seen: set[int] = set()
    waiting: list[tuple[Place, Any]] = [((), content)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, torch.Tensor):
            yield place, value
        elif isinstance(value, dict | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            parts = value.items() if isinstance(value, dict) else enumerate(value)
            waiting.extend(((place, name), part) for name, part in parts)


def digest_of_weights(state: Mapping[str, torch.Tensor]) -> str:
    """Return 64 hexadecimal digits that stand for the names, types, shapes and values of a
    network's parameters and buffers, in whatever order they come and on whatever device they lie.
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        digest.update(canonical_json([name, str(value.dtype), list(value.shape)]).encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _said(place: Place) -> str:
    """Return a place in words, such as `model.head.weight`."""
    names = []
    while place:
        place, name = place
        names.append(str(name))
    return ".".join(reversed(names))


def _not_finite(content: dict[str, Any], aside: Collection[str]) -> str | None:
    """Return where a tensor lies that holds NaN or infinity; None if none does, but for those
    aside.
    """
    looked_at = {name: part for name, part in content.items() if name not in aside}
    found = (_said(place) for place, value in tensors_in(looked_at) if not _is_finite(value))
    return next(found, None)


def _is_finite(value: torch.Tensor) -> bool:
    """Return whether a tensor is finite. Sparse tensors and those without memory, which no result
    holds, cannot be asked in the same way.
    """
    plain = value.layout == torch.strided and not value.is_meta and not value.is_quantized
    return not plain or bool(torch.isfinite(value).all())


def _refusal(path: Path) -> RecordError:
    """Return the error for a file that is not an archive: a bare pickle, or a file cut short."""
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(max(0, path.stat().st_size - 1))
        pickled = head[:1] == b"\x80" or file.read() == pickle.STOP
    names = suspicious_imports(path) if pickled else []
    if names:
        return UnsafeFile(_unsafe(path, names))
    cut = head == b"PK\x03\x04"
    return RecordError(
        f"{path} is {'cut short or damaged' if cut else 'not a result file of benchbd'}; make it "
        "again, or name another file"
    )


def _unsafe(path: Path, names: list[str]) -> str:
    return (
        f"{path} is a pickle that would import {', '.join(names[:5])}; it was refused and nothing "
        "in it was run. "
        "Only files of tensors and plain values are read: `benchbd inspect` shows what is in it, "
        "`benchbd import` reads results "
        "of other tools; else ask its author for such a file, or make the result again"
    )


def _require_sizes(path: Path, archive: zipfile.ZipFile) -> None:
    """Raise for an entry that would unpack to more than the file. Entries of our archives are
    stored as they are, so such an entry is a bomb.
    """
    if sum(i.file_size for i in archive.infolist()) > path.stat().st_size:
        raise UnsafeFile(f"{path} would unpack to more than its own size; refused")
