"""The step from the cells of one table to a ranking of its defenses, with sets of ranks and over
complete rows only.

The score is DER, which asks for both: an attack that no longer works and an accuracy that stayed.
Per attack it is the mean over seeds; over attacks there are the mean and the worst case. Two
defenses are compared over the same attacked models. Aggregates and tests are over *threats*:
attacks that poison nothing, or did not take, leave a defense nothing to do, and its DER at 50.
Several ratios of one attack are one threat, and only one row of a sweep of one defense competes,
because the same thing counted several times would make the tests too sure. Detectors of models have
no rank by DER.
"""

from __future__ import annotations

import itertools
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from benchbd.leaderboard.board.interval import tidy
from benchbd.leaderboard.board.paired_tests import Pair, Ranks, holm, rank_sets, sign_flip
from benchbd.leaderboard.board.row import METRICS, Row

SCORE = "der"
WORST = {"acc": 0.0, "asr": 1.0, "rc": 0.0, "der": 0.0}
"""The metrics that a cell without numbers counts as in the imputed view."""

AttackedModel = tuple[str, int]
"""An attacked model: label of the attack, seed."""

RankingStatus = Literal["ranked", "variant", "by models", "oracle", "incomplete"]
"""`variant`: of a method that has its place by another row; `by models`: a detector of models,
which is judged by these.
"""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A metric over attacks: the mean, and the worst with the attack where it happened."""

    mean: float
    worst: float
    worst_attack: str


@dataclass(frozen=True, slots=True)
class Rank:
    """The place of one defense. `aggregates` exist only for a complete row, `imputed` only for the
    others, `ranks` only for a ranked defense.
    """

    defense: str
    place: RankingStatus
    ranks: Ranks | None
    measured: int
    expected: int
    aggregates: dict[str, Aggregate] = field(default_factory=dict)
    imputed: dict[str, Aggregate] = field(default_factory=dict)
    clean_acc: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two defenses of which the first has the higher mean score; p before and after Holm's
    correction.
    """

    better: str
    worse: str
    difference: float
    attacks: int
    p: float
    adjusted: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """The places of all defenses of a table, and the comparisons of pairs that they rest on."""

    standings: tuple[Rank, ...]
    comparisons: tuple[Comparison, ...]


def rank(
    cells: Mapping[str, Mapping[AttackedModel, Row]],
    expected: Sequence[AttackedModel],
    threats: Mapping[str, str],
    healthy: frozenset[str],
    aside: Mapping[str, RankingStatus] | None = None,
) -> Ranking:
    """Rank defenses by their cells.

    expected: the models that a complete row has numbers for. threats: the attacks that count, each
    with the name of the threat that it is a ratio of. healthy: those that poison nothing. aside:
    defenses that do not compete with the others, each with the word for what it is.
    """
    attacked = {model: threats[model[0]] for model in expected if model[0] in threats}
    places = {name: _place(rows, expected, (aside or {}).get(name)) for name, rows in cells.items()}
    scores = {
        name: _per_threat(rows, attacked, SCORE)
        for name, rows in cells.items()
        if places[name] == "ranked"
    }
    best_first = sorted(
        (n for n in scores if scores[n]), key=lambda n: (-statistics.fmean(scores[n].values()), n)
    )
    comparisons = _compare(best_first, scores)
    ranks = rank_sets(best_first, {(c.better, c.worse): c.adjusted for c in comparisons})
    standings = [
        _standing(n, cells[n], places[n], ranks.get(n), expected, attacked, healthy) for n in cells
    ]
    return Ranking(tuple(sorted(standings, key=_order)), comparisons)


def _place(
    rows: Mapping[AttackedModel, Row],
    expected: Sequence[AttackedModel],
    aside: RankingStatus | None,
) -> RankingStatus:
    if any(row.oracle for row in rows.values()):
        return "oracle"
    if _measured(rows, expected) < len(expected):
        return "incomplete"
    return aside or "ranked"


def _measured(rows: Mapping[AttackedModel, Row], expected: Iterable[AttackedModel]) -> int:
    return sum(model in rows and rows[model].ok for model in expected)


def _compare(
    best_first: Sequence[str], scores: Mapping[str, Mapping[str, float]]
) -> tuple[Comparison, ...]:
    """Return all pairs of ranked defenses, the better one first."""
    pairs: list[Pair] = list(itertools.combinations(best_first, 2))
    differences = [
        [scores[a][attack] - scores[b][attack] for attack in scores[a] if attack in scores[b]]
        for a, b in pairs
    ]
    found = [sign_flip(each) for each in differences]
    return tuple(
        Comparison(
            a,
            b,
            tidy(statistics.fmean(each)) if each else 0.0,
            len(each),
            _short(p),
            _short(adjusted),
        )
        for (a, b), each, p, adjusted in zip(pairs, differences, found, holm(found), strict=True)
    )


def _standing(
    name: str,
    rows: Mapping[AttackedModel, Row],
    place: RankingStatus,
    ranks: Ranks | None,
    expected: Sequence[AttackedModel],
    attacked: Mapping[AttackedModel, str],
    healthy: frozenset[str],
) -> Rank:
    measured = _measured(rows, expected)
    complete = measured == len(expected)
    sound = [model for model in expected if model[0] in healthy]
    clean = [
        acc
        for model in sound
        if model in rows and (acc := rows[model].metrics.get("acc")) is not None
    ]
    return Rank(
        defense=name,
        place=place,
        ranks=ranks,
        measured=measured,
        expected=len(expected),
        aggregates=_aggregates(rows, attacked, impute=False) if complete else {},
        imputed={} if complete else _aggregates(rows, attacked, impute=True),
        clean_acc=tidy(statistics.fmean(clean)) if clean and len(clean) == len(sound) else None,
    )


def _aggregates(
    rows: Mapping[AttackedModel, Row], attacked: Mapping[AttackedModel, str], impute: bool
) -> dict[str, Aggregate]:
    found = {}
    for metric in METRICS:
        by_attack = _per_threat(rows, attacked, metric, WORST[metric] if impute else None)
        if by_attack:
            choose = max if metric == "asr" else min
            attack = choose(by_attack, key=lambda name: by_attack[name])
            found[metric] = Aggregate(
                tidy(statistics.fmean(by_attack.values())), tidy(by_attack[attack]), attack
            )
    return found


def _per_threat(
    rows: Mapping[AttackedModel, Row],
    models: Mapping[AttackedModel, str],
    metric: str,
    missing: float | None = None,
) -> dict[str, float]:
    """Return the mean over seeds and ratios of each threat; a cell without numbers counts as
    `missing`, or not at all. models: attacked models, each with the threat that it belongs to.
    """
    values: dict[str, list[float]] = defaultdict(list)
    for model, threat in models.items():
        row = rows.get(model)
        value = row.metrics.get(metric) if row is not None and row.ok else missing
        if value is not None:
            values[threat].append(value)
    return {threat: statistics.fmean(each) for threat, each in values.items()}


def _order(standing: Rank) -> tuple[int, float, str]:
    """Return the key by which rows are sorted: ranked ones by score, then those that do not
    compete, then the oracles, then incomplete ones by the lowest score that they can have.
    """
    aggregates = standing.aggregates or standing.imputed
    score = aggregates[SCORE].mean if SCORE in aggregates else 0.0
    return get_args(RankingStatus).index(standing.place), -score, standing.defense


def _short(p: float) -> float:
    """Return a number with four significant digits."""
    return float(f"{p:.4g}")
