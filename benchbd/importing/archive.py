"""A zip archive that is unpacked into a folder, without any file outside of it."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from benchbd.errors import BenchbdError, RecordError, UnsafeFile

MOST_FILES = 500_000
MAX_UNPACKED_BYTES = 64 * 2**30
MAX_ARCHIVE_RATIO = 200
"""How many times larger than the archive its files may be. Images and weights hardly shrink; zip
bombs shrink a thousandfold.
"""


@contextmanager
def as_folder(path: Path) -> Iterator[Path]:
    """Give `path` if it is a folder, or else the files of a zip archive in a temporary folder.
    Raises `RecordError`.

    If the archive holds a single folder, that folder is given. Errors that are raised inside the
    block name the archive instead of the temporary folder.
    """
    if path.is_dir():
        yield path
        return
    if not path.exists():
        raise RecordError(f"no file or folder at {path}")
    with TemporaryDirectory(prefix="benchbd-") as folder:
        extract(path, Path(folder))
        try:
            yield _innermost(Path(folder))
        except BenchbdError as error:
            error.args = tuple(str(part).replace(folder, str(path)) for part in error.args)
            raise


def _innermost(folder: Path) -> Path:
    """Return the first folder in `folder`, or itself, that holds more than one other folder."""
    while len(inside := list(folder.iterdir())) == 1 and inside[0].is_dir():
        (folder,) = inside
    return folder


def extract(path: Path, folder: Path) -> None:
    """Unpack the archive at `path`. All of it is checked before a single file is written.

    Raises `UnsafeFile` for a name that leads out of the folder, a link, or far more bytes than the
    archive has.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _require_bounded(path, entries)
            places = [
                (entry, _place(path, entry, folder)) for entry in entries if not entry.is_dir()
            ]
            for entry, place in places:
                place.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as packed, place.open("xb") as file:
                    shutil.copyfileobj(packed, file)
    except (
        OSError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise RecordError(f"{path} is no zip archive that can be read: {error}") from None


def _require_bounded(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    total, packed = sum(entry.file_size for entry in entries), path.stat().st_size
    if len(entries) > MOST_FILES or total > min(MAX_UNPACKED_BYTES, MAX_ARCHIVE_RATIO * packed):
        raise UnsafeFile(
            f"{path} would unpack to {len(entries):,} files and {total:,} bytes from {packed:,}; "
            "refused"
        )


def _place(path: Path, entry: zipfile.ZipInfo, folder: Path) -> Path:
    parts = PurePosixPath(entry.filename.replace("\\", "/")).parts
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise UnsafeFile(
            f"{path} holds the link {entry.filename!r}, which may lead anywhere; refused"
        )
    if not parts or parts[0] == "/" or ".." in parts or ":" in parts[0] or "\x00" in entry.filename:
        raise UnsafeFile(
            f"{path} holds the name {entry.filename!r}, which leads out of its folder; refused"
        )
    return folder.joinpath(*parts)
