"""A small published table for tests, and cells of its setting."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchbd.leaderboard.against_papers.paper_numbers import PublishedTable, load_published
from benchbd.leaderboard.board.build import board
from benchbd.leaderboard.board.contents import Board
from benchbd.leaderboard.board.row import row_of
from benchbd.record.cell import Cell
from support.made_cells import make_cell, provided

TABLE = """
name: a table
source: {title: somewhere, authors: Somebody 2020, url: "https://example.org", seeds: 1}
setting:
  protocol: trial@1
  dataset: {name: pictures, params: {size: 8}}
  model: net
  poison_ratio: 0.1
  epochs: 2
  clean_budget: 0.05
beside: {protocol: quick, differs: smaller}
bars:
  undefended: {acc: 1.5, asr: 5}
  defended: {acc: 1.5, asr: 10}
attacks:
  patch: {published: Patch, params: {size: 3}, note: a}
defenses:
  none: {published: nothing}
  mend: {published: Mend, differs: sewn by hand}
notes: {a: a remark}
left_out:
  - {published: Cure, why: nobody has it}
data:
  about: as they are
  copies:
    - {images: the pictures, train: aaaaaaaaaaaa, test: bbbbbbbbbbbb}
targets:
  patch:
    none: {acc: 91.0, asr: 10.0, rc: 80.0}
    mend: {acc: 91.0, asr: 10.0}
"""
DATA = {"provenance": {"fingerprints": {"train": "a" * 64, "test": "b" * 64}}}


def table(folder: Path, text: str = TABLE) -> PublishedTable:
    path = folder / "table.yaml"
    path.write_text(text)
    (found,) = load_published(path)
    return found


def cell(
    defense: str = "mend", seed: int = 0, hits: tuple[int, int, int] = (910, 90, 720), **more: Any
) -> Cell:
    """A cell of the setting of the table, ACC 91.0 and ASR 10.0, unless something else is said."""
    own: dict[str, Any] = {
        "attack": provided("patch", "benchbd", poison_ratio=0.1, size=3),
        "dataset": provided("pictures", "benchbd", size=8),
        "model": provided("net", "benchbd"),
        **DATA,
    }
    return make_cell(defense=provided(defense, "benchbd"), seed=seed, hits=hits, **(own | more))


def of(cells: Iterable[Cell]) -> Board:
    return board(map(row_of, cells))
