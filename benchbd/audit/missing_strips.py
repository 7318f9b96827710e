"""Strips of images for results that came without them, or with those of an earlier version.

The matrix stores a strip with the first cell of an attack. Results that were made elsewhere may
lack it, so the trigger is made here again, from the first cell.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchbd.audit.ground_truth import NO_PLACES, Places
from benchbd.audit.reproduce import attack_job, threads_of
from benchbd.engine.hardware import use_threads
from benchbd.leaderboard.board.contents import Board
from benchbd.leaderboard.board.image_strips import strip_of
from benchbd.record.cells import read_cell
from benchbd.record.files import write_bytes
from benchbd.report.sheet import thumbnails
from benchbd.running.attacking import triggered_images


def missing_strips(board: Board, results: Path) -> dict[Path, Path]:
    """Return the strips that the tables of a board lack, each with the result file of one of its
    cells.
    """
    found: dict[Path, Path] = {}
    for section in board.sections:
        for attack, entries in section.by_attack():
            strip = results / strip_of(section, attack, entries)
            rows = [row for entry in entries for row in entry.cells]
            if not strip.is_file():
                found.setdefault(strip, results / min(rows, key=lambda row: row.seed).file)
    return found


def make_strip(
    strip: Path, result: Path, device: str = "auto", places: Places = NO_PLACES
) -> Path | None:
    """Write the strip of the attack that the result file is of, and return its path; None for
    images that a PNG cannot show.

    Raises `RecordError` for plugins that are not the same here, and whatever the attack raises.
    """
    cell = read_cell(result)
    with tempfile.TemporaryDirectory() as folder, use_threads(threads_of(cell)):
        images = triggered_images(attack_job(cell, device, places), Path(folder))
    content = thumbnails(*images)
    return None if content is None else write_bytes(strip, content)
