"""The reader of HDF5 files, which stays inside the file: it follows no link to another file, reads
no data that is kept elsewhere, and nothing larger than the file can hold.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
from numpy.typing import NDArray

from benchbd.errors import ConfigError, RecordError, UnsafeFile
from benchbd.record.files import require_ordinary

if TYPE_CHECKING:
    import h5py

MAX_ARRAY_RATIO = 200
"""How many times larger than its file an array may be. Packed photographs have half their size;
bombs shrink a thousandfold.
"""

MOST_MEMBERS, MOST_LINES = 500, 20_000
"""The most members of one group, and of a file, that are listed."""


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Give the open file at `path`. Raises `RecordError` for one that is missing or damaged, and
    `ConfigError` without h5py.
    """
    require_ordinary(path)
    try:
        import h5py
    except ImportError:
        raise ConfigError(
            "HDF5 files need h5py, which is not installed; `pip install 'benchbd[keras]'`"
        ) from None
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise RecordError(f"{path} is no HDF5 file that can be read: {error}") from None


def member(path: Path, group: h5py.Group, name: str) -> Any:
    """Return the group or data set of that name. Raises `RecordError` when it is absent,
    `UnsafeFile` for a link to elsewhere.
    """
    import h5py

    for part in name.split("/"):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            raise RecordError(f"{path} has no {name!r} in {getattr(group, 'name', '/')!r}")
        if not isinstance(link, h5py.HardLink):
            raise UnsafeFile(f"{path}: {name!r} is a link, which may lead to another file; refused")
        group = group[part]
    return group


def array(path: Path, group: h5py.Group, name: str) -> NDArray[Any]:
    """Return a whole data set of numbers. Raises `UnsafeFile` for one that lies elsewhere or is
    larger than its file can hold.
    """
    import h5py

    found = member(path, group, name)
    if not isinstance(found, h5py.Dataset) or found.dtype.kind not in "fiub":
        raise RecordError(f"{path}: expected numbers in {name!r}")
    if found.is_virtual or found.external:
        raise UnsafeFile(f"{path}: the numbers of {name!r} lie in another file, which is not read")
    total = math.prod(found.shape) * found.dtype.itemsize
    if total > MAX_ARRAY_RATIO * path.stat().st_size:
        raise UnsafeFile(
            f"{path}: {name!r} would unpack to {total:,} bytes from {path.stat().st_size:,}; "
            "refused"
        )
    return numpy.asarray(found[()])


def names(group: h5py.Group, attribute: str) -> list[str]:
    """Return a list of texts that is stored as an attribute."""
    return [
        text.decode() if isinstance(text, bytes) else str(text)
        for text in group.attrs.get(attribute, ())
    ]


def listed(file: h5py.File) -> Iterator[str]:
    """Yield a line for each member, at most `MOST_LINES`. A link is named and not followed."""
    return islice(_listed(file, "", {_address(file)}), MOST_LINES)


def _listed(group: h5py.Group, place: str, seen: set[int], depth: int = 6) -> Iterator[str]:
    """Yield the lines of a group and of the groups in it. A group may have many names, even inside
    itself; it is entered once. seen: the addresses of the groups entered so far.
    """
    import h5py

    for name in islice(group, MOST_MEMBERS):
        link, where = group.get(name, getlink=True), f"{place}/{name}"
        if not isinstance(link, h5py.HardLink):
            yield f"{where}: {type(link).__name__} to {getattr(link, 'filename', '')}:{link.path}"
        elif isinstance(found := group[name], h5py.Dataset):
            yield f"{where}: {found.dtype} {found.shape}"
        elif isinstance(found, h5py.Group) and _address(found) in seen:
            yield f"{where}: another name of a group"
        elif isinstance(found, h5py.Group) and depth:
            seen.add(_address(found))
            yield from _listed(found, where, seen, depth - 1)


def _address(group: h5py.Group) -> int:
    """Return where a group lies in its file."""
    import h5py

    return int(h5py.h5o.get_info(group.id).addr)
