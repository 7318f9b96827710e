"""The seal of an archive: a digest of all its bytes, kept in the comment at its end.

PyTorch does not look at the checksums of an archive that it loads, so that one changed bit of a
network is loaded like any other number. Every reader of archives passes over the comment.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path
from typing import IO

from benchbd.errors import RecordError
from benchbd.record.files import sha256

SEAL_MARK = b"benchbd sha256 "
SEAL_BYTES = len(SEAL_MARK) + 2 * hashlib.sha256().digest_size
ARCHIVE_END, ARCHIVE_END_BYTES, COMMENT_LENGTH_BYTES = b"PK\x05\x06", 22, 2
"""The last record of an archive without a comment: its first bytes, its length, and the number of
bytes at its end that hold the length of the comment, little-endian (PKZIP APPNOTE, 4.3.16).
"""


def seal(file: IO[bytes]) -> None:
    """Add the seal to a whole archive without a comment, open for reading and writing."""
    file.seek(-COMMENT_LENGTH_BYTES, os.SEEK_END)
    file.write(SEAL_BYTES.to_bytes(COMMENT_LENGTH_BYTES, "little"))
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    digest = _digest_of(file, length)
    file.write(SEAL_MARK + digest.encode())


def require_seal(path: Path) -> bool:
    """Return whether the archive at `path` has a seal; archives of other tools have none. Raises
    `RecordError` where the seal does not fit the present content of the file.
    """
    with path.open("rb") as file:
        length = max(0, file.seek(0, os.SEEK_END) - SEAL_BYTES)
        file.seek(length)
        end = file.read()
        if not end.startswith(SEAL_MARK):
            return False
        file.seek(0)
        found = _digest_of(file, length)
    if end.removeprefix(SEAL_MARK) != found.encode():
        raise _changed(
            path,
            f"its seal is {_short(end.removeprefix(SEAL_MARK))}, its content's digest is "
            f"{found[:12]}",
        )
    return True


def require_checksums(path: Path) -> None:
    """Raise `RecordError` unless each entry of an archive without a seal has its checksum and
    nothing follows the last entry. Bytes behind it would be the rest of a damaged seal, or added by
    somebody.
    """
    with path.open("rb") as file:
        file.seek(-ARCHIVE_END_BYTES, os.SEEK_END)
        last = file.read()
        if not last.startswith(ARCHIVE_END) or any(last[-COMMENT_LENGTH_BYTES:]):
            raise _changed(path, "its end is neither a seal nor that of an archive without one")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception as error:  # a damaged archive raises many kinds of errors
        raise _changed(path, str(error) or type(error).__name__) from None
    if damaged is not None:
        raise _changed(path, f"the checksum of its entry {damaged!r} does not fit")


def require_digest(path: Path, noted: str) -> None:
    """Raise `RecordError` unless the file at `path` has the digest that was noted for it."""
    if (found := sha256(path)) != noted:
        raise _changed(
            path, f"the JSON beside it notes the digest {noted[:12]}, it is {found[:12]}"
        )


def _digest_of(file: IO[bytes], length: int) -> str:
    """Return the digest of the next `length` bytes."""
    digest = hashlib.sha256()
    while length and (part := file.read(min(length, 2**20))):
        digest.update(part)
        length -= len(part)
    return digest.hexdigest()


def _short(digest: bytes) -> str:
    return digest[:12].decode("ascii", "replace")


def _changed(path: Path, why: str) -> RecordError:
    return RecordError(
        f"{path} was changed after it was written: {why}; nothing of it was read; fetch it again "
        "from where it came, or remove it and make it again"
    )
