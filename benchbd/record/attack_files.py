"""Where attack results lie, and whether one is there. Without torch, so that a listing answers at
once.
"""

from __future__ import annotations

from pathlib import Path

from benchbd.errors import RecordError
from benchbd.record.files import read_json, sha256

ATTACK_FILE = "attack_result.pt"
MANIFEST = "manifest.json"


def record_dir() -> Path:
    """Where results made here are stored."""
    return Path("record")


def is_stored(folder: Path, key: str, replaced: str = "") -> bool:
    """Whether the attack result of that key lies in `folder`, whole: manifest and digest agree.

    replaced: the digest of one that is to be made again, and so does not count.
    """
    try:
        manifest = read_json(folder / MANIFEST)
        return bool(
            manifest["key"] == key
            and replaced != manifest["sha256"] == sha256(folder / ATTACK_FILE)
        )
    except (RecordError, OSError, LookupError, TypeError):
        return False
