"""The Pareto front: which defenses are beaten by no other in both of two figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from benchbd.leaderboard.board.contents import DefenseFacts, Pairing
from benchbd.leaderboard.board.ranking import Ranking

ParetoPoint = tuple[float, float]
"""Two figures, both of which are better when they are smaller."""

Fronts = dict[str, dict[str, tuple[str, ...]]]
"""For each attack, and over all attacks as "", the front in lack of ACC and ASR ("acc"), and in
seconds and ASR ("seconds").
"""


def front(points: Mapping[str, ParetoPoint]) -> tuple[str, ...]:
    """Return the names of the points on the front, in the order of the first figure. A point is on
    the front if no other point is as good in both figures and better in one. So equal points are
    all on it, or none of them is.
    """
    found: list[str] = []
    best: ParetoPoint | None = None
    for name in sorted(points, key=lambda name: (*points[name], name)):
        point = points[name]
        if best is None or point[1] < best[1] or point == best:
            found.append(name)
            best = point
    return tuple(found)


def fronts(
    defenses: Sequence[DefenseFacts], entries: Sequence[Pairing], ranking: Ranking
) -> Fronts:
    """Return the fronts of one table, without oracles. The front over all attacks has the defenses
    with complete rows, that of one attack those with all of its seeds.
    """
    seconds = {defense.label: defense.cost.get("seconds") for defense in defenses}
    oracles = {defense.label for defense in defenses if defense.oracle}
    accuracy: dict[str, dict[str, ParetoPoint]] = defaultdict(dict)
    effort: dict[str, dict[str, ParetoPoint]] = defaultdict(dict)

    def add(attack: str, name: str, acc: float, asr: float, took: float | None) -> None:
        accuracy[attack][name] = -acc, asr
        if took is not None:
            effort[attack][name] = took, asr

    for s in ranking.standings:
        if s.place != "oracle" and {"acc", "asr"} <= s.aggregates.keys():
            add(
                "",
                s.defense,
                s.aggregates["acc"].mean,
                s.aggregates["asr"].mean,
                seconds[s.defense],
            )
    for e in entries:
        if (
            e.defense not in oracles
            and e.measured == e.expected
            and {"acc", "asr"} <= e.metrics.keys()
        ):
            add(
                e.attack, e.defense, e.metrics["acc"].mean, e.metrics["asr"].mean, e.cost["seconds"]
            )
    return {
        attack: {"acc": front(points), "seconds": front(effort[attack])}
        for attack, points in accuracy.items()
    }
