"""Strips of an attack's images beside its results, shown as they were sent:
`<protocol>/<attack>/images-<data set>-<digits>.png`.

The digits stand for the data set and the attack with their parameters and versions. So a strip of
an earlier version is not shown beside results of today's, and two variants of an attack have a
strip each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchbd.leaderboard.board.contents import AttackFacts, Pairing, Section
from benchbd.leaderboard.board.text import one_line
from benchbd.record.keys import strip_name

STRIP_PATTERN = "*/*/images-*.png"
MAX_STRIP_BYTES = 64 * 1024
"""The most bytes of a strip. A larger one is left out, so that the page stays small."""

MOST = 1024 * 1024
"""Bytes of all strips of a board; what comes after these is left out."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def strip_of(section: Section, attack: AttackFacts, entries: Sequence[Pairing]) -> str:
    """Return where the strip of an attack belongs under the results, whether it is there or not."""
    file = next(row.file for entry in entries for row in entry.cells)
    dataset = section.where.dataset
    name = strip_name(dataset.name, dataset.identity, attack.method.identity)
    return f"{file.rpartition('/')[0].rpartition('/')[0]}/{name}"


def read_strips(
    results: Path, sections: Sequence[Section]
) -> tuple[Mapping[str, bytes], list[str]]:
    """Return the strips of these tables by their path under the results, and what is wrong with
    strips that are there and cannot be shown.
    """
    found: dict[str, bytes] = {}
    faults = []
    wanted = {strip_of(s, attack, entries) for s in sections for attack, entries in s.by_attack()}
    for path in sorted(results.glob(STRIP_PATTERN)):
        name = path.relative_to(results).as_posix()
        content = path.read_bytes() if path.stat().st_size <= MAX_STRIP_BYTES else b""
        if not content.startswith(_SIGNATURE):
            faults.append(
                f"{one_line(name)}: expected a PNG of at most {MAX_STRIP_BYTES:,} bytes, got "
                f"{path.stat().st_size:,} bytes of something"
            )
        elif name in wanted and sum(map(len, found.values())) + len(content) <= MOST:
            found[name] = content
    return found, faults
