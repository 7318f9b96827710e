"""The data that the page carries: the facts of the board, thinned so that a large board still opens
quickly.

The same facts as leaderboard.json with short keys, lists instead of named fields, every text once,
and the curves beside them. `web/facts.js` reads it; the two files belong together.
"""

from __future__ import annotations

import base64
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from benchbd.leaderboard.board.contents import Board, Pairing, Section
from benchbd.leaderboard.board.image_strips import strip_of
from benchbd.leaderboard.board.interval import Summary, tidy
from benchbd.leaderboard.board.last_version import by_table, changes
from benchbd.leaderboard.board.overview import Overview, main_table, subject
from benchbd.leaderboard.board.row import BYSTANDERS, TARGET_RATE, UTILITY_FIGURES, Row
from benchbd.leaderboard.board.trust import TRUST_LEVELS
from benchbd.leaderboard.render.json_document import board_digest
from benchbd.leaderboard.render.tables import (
    IMPUTED,
    METRICS_EXPLAINED,
    TERMS,
    ranking_note,
    summary_line,
)
from benchbd.measure.target_rate import DOUBTFUL_SHARE_OF_ASR, LEAST_DOUBTFUL_ASR
from benchbd.record.keys import KEY_DIGITS

MAX_PAGE_POINTS = 60_000
"""The most points of curves on one page. If there are more, only the first seed of each entry keeps
its curves.
"""

PAGE_FIGURES = ("acc", "asr", TARGET_RATE, "rc", "der", BYSTANDERS)


@dataclass
class TextPlaces:
    """A list of texts in which each text stands once. The data hold the place of a text instead of
    the text.
    """

    places: dict[str, int] = field(default_factory=dict)

    def place(self, text: str) -> int:
        return self.places.setdefault(text, len(self.places))


def inline(board: Board, facts: dict[str, Any]) -> dict[str, Any]:
    """Return the page's data, from the board and its document."""
    texts = TextPlaces()
    every_seed = _points(board) <= MAX_PAGE_POINTS
    sections = [
        _section(s, stated, texts, every_seed)
        for s, stated in zip(board.sections, facts["sections"], strict=True)
    ]
    pictures = {
        name: base64.b64encode(content).decode() for name, content in sorted(board.pictures.items())
    }
    return {
        "summary": summary_line(board),
        "about": METRICS_EXPLAINED,
        "imputed": IMPUTED,
        "digest": board_digest(facts),
        "figures": PAGE_FIGURES,
        "utility": UTILITY_FIGURES,
        "doubtful": {"asr": LEAST_DOUBTFUL_ASR, "share": DOUBTFUL_SHARE_OF_ASR},
        "levels": TRUST_LEVELS,
        "sections": sections,
        "pictures": pictures,
        "every_seed": every_seed,
        "overview": _overview(board),
        "newest": newest(board),
        "days": list(days(board).items()),
        "since": _since(board),
        "faults": list(board.faults),
        "texts": list(texts.places),
    }


def _overview(board: Board) -> dict[str, Any]:
    """Return the introduction of the page: the table that it is about, the findings of that table,
    and a line for each table.
    """
    place = main_table(board.sections)
    return {
        "main": place,
        "answers": list(Overview(board.sections[place]).answers().items())
        if place is not None
        else [],
        "tied": Overview(board.sections[place]).tied() if place is not None else [],
        "lines": [Overview(section).line() for section in board.sections],
        "subjects": [subject(section.defenses) for section in board.sections],
        "terms": list(TERMS.items()),
    }


MOST_MOVED = 12
"""Changed cells that the page names: those whose ASR moved most."""


def _since(board: Board) -> dict[str, Any] | None:
    """What changed since the last version, by table and in sum, and the cells that moved most."""
    earlier = board.last_version
    if earlier is None:
        return None
    found = list(changes(earlier.outcomes, board.outcomes))
    tables = by_table(found)
    moved = sorted(found, key=lambda change: (-change.move, change.place))[:MOST_MOVED]
    return {
        "name": earlier.name,
        "board": earlier.board,
        "newest": earlier.newest,
        "total": [sum(column) for column in zip(*tables.values(), strict=True)] or [0, 0, 0],
        "tables": list(tables.items()),
        "moved": [[*each.place, each.before, each.after] for each in moved if each.move],
    }


def days(board: Board) -> dict[str, int]:
    """Return the number of results that were finished on each day, the newest day first."""
    cells = {row.key: row for s in board.sections for e in s.entries for row in e.cells}
    found = Counter(row.made["finished"][:10] for row in cells.values() if "finished" in row.made)
    return dict(sorted(found.items(), reverse=True))


def newest(board: Board) -> str:
    """Return the day of the newest result; empty where no result states its day."""
    return next(iter(days(board)), "")


def _points(board: Board) -> int:
    return sum(
        len(t.points)
        for s in board.sections
        for e in s.entries
        for row in e.cells
        for t in row.traces
    )


def _section(
    section: Section, stated: dict[str, Any], texts: TextPlaces, every_seed: bool
) -> dict[str, Any]:
    kept = (
        "title",
        "protocol",
        "dataset",
        "model",
        "recipe",
        "clean_budget",
        "seeds",
        "lost",
        "attacks",
        "defenses",
        "standings",
    )
    return {name: stated[name] for name in kept} | {
        "fronts": stated["fronts"],
        "note": ranking_note(section),
        "against": _against_first(stated),
        "best": _best(section),
        "pictures": {
            attack.label: strip_of(section, attack, entries)
            for attack, entries in section.by_attack()
        },
        "entries": [_entry(entry, texts, every_seed) for entry in section.entries],
    }


def _against_first(stated: dict[str, Any]) -> dict[str, Any]:
    """Return the comparison of each other ranked defense with the first one."""
    first = stated["standings"][0]["defense"]
    mine = [c for c in stated["comparisons"] if c["better"] == first]
    return {
        c["worse"]: {"than": first, **{name: c[name] for name in ("difference", "p", "adjusted")}}
        for c in mine
    }


def _best(section: Section) -> dict[str, Any]:
    """Return for each threat the defense with the highest mean DER, among those that contend and
    have all seeds.
    """
    contending = {defense.label for defense in section.defenses if defense.contends}
    found = {}
    for attack, entries in section.by_attack():
        whole = [
            e
            for e in entries
            if e.defense in contending and e.measured == e.expected and "der" in e.metrics
        ]
        if attack.threat and whole:
            best = min(whole, key=lambda e: (-e.metrics["der"].mean, e.defense))
            found[attack.label] = {
                "defense": best.defense,
                "der": best.metrics["der"].mean,
                "asr": best.metrics["asr"].mean,
            }
    return found


def _entry(entry: Pairing, texts: TextPlaces, every_seed: bool) -> list[Any]:
    return [
        [[texts.place(code), count] for code, count in entry.codes.items()],
        [_summary(entry.metrics.get(name)) for name in PAGE_FIGURES],
        _shares(entry.detection),
        [entry.cost[name] for name in ("seconds", "peak_bytes", "clean_samples")]
        if entry.cost
        else 0,
        [entry.images.get(name, 0) for name in ("acc", "asr")],
        [int(entry.oracle), int(entry.stale), TRUST_LEVELS.index(entry.trust)],
        [_cell(row, texts, every_seed or not place) for place, row in enumerate(entry.cells)],
        [texts.place(doubt) for doubt in entry.doubts],
        [_short(entry.utility.get(name)) for name in UTILITY_FIGURES] if entry.utility else 0,
    ]


def _cell(row: Row, texts: TextPlaces, with_curves: bool) -> list[Any]:
    return [
        row.seed,
        texts.place(row.code),
        row.key[:KEY_DIGITS],
        [_short(row.metrics.get(name)) for name in PAGE_FIGURES],
        [
            round(row.cost[name], 2)
            for name in ("seconds", "attack_seconds", "peak_bytes", "clean_samples")
        ],
        [int(row.oracle), int(row.stale), TRUST_LEVELS.index(row.trust)],
        texts.place(row.reason),
        texts.place(row.stage),
        texts.place(row.device),
        [[texts.place(name), texts.place(value)] for name, value in row.made.items()],
        [[t.name, t.axis, t.split, t.chosen, t.points, t.kept] for t in row.traces]
        if with_curves
        else 0,
        [*(_short(row.utility.get(name)) for name in UTILITY_FIGURES), row.least_class]
        if row.utility
        else 0,
    ]


def _summary(summary: Summary | None) -> Any:
    """Return the mean and the interval. For two seeds these are the mean and both values, for a
    figure without an interval the mean alone, and 0 where nothing was measured.
    """
    if summary is None:
        return 0
    if summary.low is not None:
        return [summary.mean, summary.low, summary.high]
    return (
        [summary.mean, None, None, *summary.values] if len(summary.values) > 1 else [summary.mean]
    )


def _shares(figures: dict[str, float]) -> Any:
    return {name: _short(value) for name, value in figures.items()} or 0


def _short(value: float | None) -> float | None:
    return None if value is None else tidy(value)
