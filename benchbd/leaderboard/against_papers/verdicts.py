"""The verdicts on published figures: reproduced here, not reproduced, or the reason why there is no
verdict.

    interval of the metric
        Student's t, 95 %, of the mean over three or more seeds (`interval.py`)
    band of the target          [target - bar, target + bar]
    a metric is reproduced      if interval and band share a point; ends count
    a target is reproduced      if ACC and ASR are

A wide interval meets every band. So the plain difference of the means stands beside every verdict,
and a target whose means lie outside of the band is said to be reproduced by its interval alone.
Everything here is points of percent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from benchbd.leaderboard.against_papers.paper_numbers import (
    PaperSetting,
    PublishedFigures,
    PublishedTable,
)
from benchbd.leaderboard.board.contents import Board, Pairing, Section
from benchbd.leaderboard.board.interval import FEWEST_SEEDS, Summary
from benchbd.leaderboard.board.method_names import Method
from benchbd.leaderboard.render.tables import status
from benchbd.plugin.entry import BUNDLED_PROVIDER

VERDICT_DIGITS = 4
"""Digits behind the point of a percentage. Results are written with as many, so the ends of a band
are exact.
"""

VerdictName = Literal[
    "reproduced", "not reproduced", "too few seeds", "no numbers", "ambiguous", "not run"
]


@dataclass(frozen=True, slots=True)
class MetricVerdict:
    """One metric of a target beside its measurement. `gap`: the signed distance from the band to
    the interval; 0 where they meet.
    """

    metric: str
    difference: float
    gap: float
    bar: float

    @property
    def by_interval_alone(self) -> bool:
        return self.gap == 0 and abs(self.difference) > self.bar


@dataclass(frozen=True, slots=True)
class Target:
    """A published cell, the entry of the board with the same setting, and the entries of the other
    protocol.
    """

    attack: str
    defense: str
    figures: PublishedFigures
    state: VerdictName
    words: str
    held: tuple[MetricVerdict, ...] = ()
    entry: Pairing | None = None
    beside: tuple[Pairing, ...] = ()

    @property
    def by_interval_alone(self) -> bool:
        return self.state == "reproduced" and any(held.by_interval_alone for held in self.held)


def targets(table: PublishedTable, board: Board) -> list[Target]:
    """Return all targets of a published table in its order."""
    return [
        _target(table, board, a, d, figures)
        for a, row in table.targets.items()
        for d, figures in row.items()
    ]


def fits(section: Section, setting: PaperSetting) -> bool:
    """Return whether a table of the board has the setting. Its facts are compared, not its name."""
    where = section.where
    return (
        where.protocol == setting.protocol
        and _agrees(where.dataset, setting.dataset.name, setting.dataset.params)
        and _agrees(where.model, setting.model.name, setting.model.params)
        and json.loads(where.recipe).get("epochs") == setting.epochs
        and where.clean_budget == setting.clean_budget
    )


def hold(metric: str, published: float, bar: float, summary: Summary) -> MetricVerdict:
    """Return the verdict on a figure that was published in percent, from a summary of shares with
    an interval.
    """
    assert summary.low is not None and summary.high is not None
    above = _tidy(100 * summary.low - (published + bar))
    below = _tidy((published - bar) - 100 * summary.high)
    return MetricVerdict(
        metric, difference(published, summary), max(above, 0.0) or min(-below, 0.0) + 0.0, bar
    )


def difference(published: float, summary: Summary) -> float:
    """Return the mean measured here minus what was published."""
    return _tidy(100 * summary.mean - published)


def _target(
    table: PublishedTable, board: Board, attack: str, defense: str, figures: PublishedFigures
) -> Target:
    params = table.attacks[attack].params | {"poison_ratio": table.setting.poison_ratio}
    own = [section for section in board.sections if fits(section, table.setting)]
    found = _entries(own, (attack, params), (defense, table.defenses[defense].params))
    other = [
        section
        for section in board.sections
        if section.where.protocol.partition("@")[0] == table.beside.protocol
    ]
    beside = _entries(other, (attack, {}), (defense, {}))
    if len(found) > 1:
        words = f"{len(found)} variants of it were run; none is judged"
        return Target(attack, defense, figures, "ambiguous", words, beside=beside)
    if not found:
        return Target(attack, defense, figures, "not run", "not run", beside=beside)
    bar = table.bars.of(defense)
    held, state, words = _judged(
        found[0], (("acc", figures.acc, bar.acc), ("asr", figures.asr, bar.asr))
    )
    return Target(attack, defense, figures, state, words, held, found[0], beside)


def _judged(
    entry: Pairing, wanted: tuple[tuple[str, float, float], ...]
) -> tuple[tuple[MetricVerdict, ...], VerdictName, str]:
    """Return the verdict on each metric, if there are enough seeds, the state of the target, and
    the verdict in words.
    """
    summaries = [entry.metrics.get(metric) for metric, *_ in wanted]
    seeds = min(len(summary.values) if summary else 0 for summary in summaries)
    if not seeds:
        return (), "no numbers", f"ran without numbers: {status(entry)}"
    if seeds < FEWEST_SEEDS:
        return (), "too few seeds", f"too few seeds: {seeds} of {FEWEST_SEEDS}"
    held = tuple(
        hold(*each, summary) for each, summary in zip(wanted, summaries, strict=True) if summary
    )
    missed = [
        f"{h.metric.upper()} {abs(h.gap):.4g} {'above' if h.gap > 0 else 'below'} the band"
        for h in held
        if h.gap
    ]
    if missed:
        return held, "not reproduced", f"not reproduced: {', '.join(missed)}"
    wide = [h.metric.upper() for h in held if h.by_interval_alone]
    return (
        held,
        "reproduced",
        f"reproduced, {' and '.join(wide)} by the interval alone" if wide else "reproduced",
    )


def _entries(
    sections: list[Section], attack: tuple[str, Any], defense: tuple[str, Any]
) -> tuple[Pairing, ...]:
    """Return the entries of an attack and a defense. Of each method only the newest version of its
    results counts, and of an entry that stands in several tables only one.
    """
    found = list(_every(sections, attack, defense))
    newest = max((versions for versions, _ in found), default=None)
    return tuple(
        {
            tuple(row.key for row in entry.cells): entry
            for versions, entry in found
            if versions == newest
        }.values()
    )


def _every(
    sections: list[Section], attack: tuple[str, Any], defense: tuple[str, Any]
) -> Iterator[tuple[tuple[int, int], Pairing]]:
    for section in sections:
        for facts, entries in section.by_attack():
            for other, entry in zip(section.defenses, entries, strict=True):
                if (
                    _agrees(facts.method, *attack)
                    and _agrees(other.method, *defense)
                    and entry.cells
                ):
                    yield (facts.method.results_version, other.method.results_version), entry


def _agrees(method: Method, name: str, params: dict[str, Any]) -> bool:
    """Return whether a method is benchbd's own of that name and has these parameters."""
    mine = (method.provider, method.name) == (BUNDLED_PROVIDER, name)
    return mine and all(
        name in method.params and method.params[name] == value for name, value in params.items()
    )


def _tidy(points: float) -> float:
    return round(points, VERDICT_DIGITS) + 0.0
