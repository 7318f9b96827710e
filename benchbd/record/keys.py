"""The identity of a result: sha256 over canonical JSON."""

from __future__ import annotations

import hashlib
import json
from typing import Any

SCHEMA = 1
"""Version of everything stored on disk; part of every key."""


def canonical_json(value: Any) -> str:
    """Sorted keys, no spaces, ASCII, integers as integers; NaN and infinity are refused with ValueError."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def key_of(*parts: Any) -> str:
    """64 hexadecimal digits that stand for `parts` and nothing else."""
    return hashlib.sha256(canonical_json([SCHEMA, *parts]).encode()).hexdigest()
