"""The place of attack results, and the question whether one is stored there. This module works
without torch, so that a listing is quick.
"""

from __future__ import annotations

from pathlib import Path

from benchbd.errors import RecordError
from benchbd.record.files import read_json, sha256
from benchbd.record.seal import require_digest

ATTACK_FILE = "attack_result.pt"
MANIFEST_FILE = "manifest.json"


def record_dir() -> Path:
    """Return the folder in which results made here are stored."""
    return Path("record")


def require_noted(path: Path) -> None:
    """Raise `RecordError` unless a result file has the digest that the manifest beside it states. A
    result file that was moved alone has no manifest beside it and is accepted.
    """
    beside = path.parent / MANIFEST_FILE
    noted = read_json(beside) if beside.is_file() else None
    if isinstance(noted, dict) and "sha256" in noted:
        require_digest(path, str(noted["sha256"]))


def is_stored(folder: Path, key: str, replaced: str = "") -> bool:
    """Return whether the attack result of that key lies in `folder`, complete: manifest and digest
    agree.

    replaced: the digest of a result that is to be made again, and so does not count.
    """
    try:
        manifest = read_json(folder / MANIFEST_FILE)
        return bool(
            manifest["key"] == key
            and replaced != manifest["sha256"] == sha256(folder / ATTACK_FILE)
        )
    except (RecordError, OSError, LookupError, TypeError):
        return False
