"""Strips of an attack's images beside its results: `<protocol>/<attack>/images-<data set>.png`,
shown as they were sent.
"""

from __future__ import annotations

from pathlib import Path

from benchbd.leaderboard.board.text import one_line

PATTERN = "*/*/images-*.png"
LARGEST = 64 * 1024
"""Bytes of a strip; what is larger is left out, so that the page stays small."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_pictures(results: Path) -> tuple[dict[str, bytes], list[str]]:
    """Return strips by their path under the results, and what is wrong with the others."""
    found, faults = {}, []
    for path in sorted(results.glob(PATTERN)):
        name = one_line(path.relative_to(results).as_posix())
        size = path.stat().st_size
        content = path.read_bytes() if size <= LARGEST else b""
        if content.startswith(_SIGNATURE):
            found[name] = content
        else:
            faults.append(
                f"{name}: expected a PNG of at most {LARGEST:,} bytes, got {size:,} bytes of "
                "something"
            )
    return found, faults
