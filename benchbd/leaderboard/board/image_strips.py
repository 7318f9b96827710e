"""Strips of an attack's images beside its results: `<protocol>/<attack>/images-<data set>.png`,
shown as they were sent.
"""

from __future__ import annotations

from pathlib import Path

from benchbd.leaderboard.board.text import one_line

STRIP_PATTERN = "*/*/images-*.png"
MAX_STRIP_BYTES = 64 * 1024
"""The most bytes of a strip. A larger one is left out, so that the page stays small."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_strips(results: Path) -> tuple[dict[str, bytes], list[str]]:
    """Return the strips by their path under the results, and a sentence for each one left out."""
    found, faults = {}, []
    for path in sorted(results.glob(STRIP_PATTERN)):
        name = one_line(path.relative_to(results).as_posix())
        size = path.stat().st_size
        content = path.read_bytes() if size <= MAX_STRIP_BYTES else b""
        if content.startswith(_SIGNATURE):
            found[name] = content
        else:
            faults.append(
                f"{name}: expected a PNG of at most {MAX_STRIP_BYTES:,} bytes, got {size:,} bytes "
                "of something"
            )
    return found, faults
