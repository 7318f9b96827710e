"""The step from result files to the board. It is a pure function: the same rows give the same
board, in one order, and no clock is read.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchbd.leaderboard.board.contents import (
    AttackFacts,
    Board,
    DefenseFacts,
    Pairing,
    Section,
    Sensitivity,
)
from benchbd.leaderboard.board.detection import DETECTION_FIGURES, mean_of, summarise_detection
from benchbd.leaderboard.board.families import MODEL_DETECTOR, attack_kind, defense_kind
from benchbd.leaderboard.board.image_strips import read_strips
from benchbd.leaderboard.board.interval import Summary, summarise, tidy
from benchbd.leaderboard.board.method_names import Method, labels
from benchbd.leaderboard.board.overview import SUBJECTS, subject
from benchbd.leaderboard.board.pareto import fronts
from benchbd.leaderboard.board.protocol_tables import placed
from benchbd.leaderboard.board.ranking import AttackedModel, Ranking, RankingStatus, rank
from benchbd.leaderboard.board.row import (
    EXTRA_METRICS,
    METRICS,
    UTILITY_FIGURES,
    Row,
    TableKey,
    read_rows,
)
from benchbd.leaderboard.board.sensitivity import NOTHING_STUDIED, Studies, Study, studied
from benchbd.leaderboard.board.sweeps import threats_of, variants
from benchbd.leaderboard.board.text import label, one_line
from benchbd.leaderboard.board.trust import Ledger, lowest
from benchbd.measure.siblings import stray_doubts
from benchbd.record.keys import UNDEFENDED


def read_board(results: Path, ledger: Ledger, studies: Studies = NOTHING_STUDIED) -> Board:
    """Return the board of all result files under a folder, with what was noted beside them."""
    rows, faults = read_rows(results, ledger)
    made = board(rows, faults, studies)
    strips, odd = read_strips(results, made.sections)
    return replace(made, pictures=strips, faults=(*made.faults, *odd))


def board(
    rows: Iterable[Row], faults: Sequence[str] = (), studies: Studies = NOTHING_STUDIED
) -> Board:
    """Return the board of these rows, in whatever order they come."""
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in sorted(
        placed(rows),
        key=lambda r: (r.where.identity, r.attack.identity, r.defense.identity, r.seed, r.key),
    ):
        groups[row.where.identity].append(row)
    wheres = [group[0].where for group in groups.values()]
    sections = [_section(group, wheres, studies) for group in groups.values()]
    sections.sort(key=lambda s: (SUBJECTS.index(subject(s.defenses)), s.title, s.where.identity))
    return Board(
        tuple(sections),
        tuple(map(one_line, faults)),
        len({row.key for group in groups.values() for row in group}),
    )


def _section(rows: list[Row], wheres: Sequence[TableKey], studies: Studies) -> Section:
    where = rows[0].where
    datasets, models = labels(w.dataset for w in wheres), labels(w.model for w in wheres)
    attacks, defenses = labels(row.attack for row in rows), labels(row.defense for row in rows)
    by_defense: dict[str, dict[AttackedModel, Row]] = {
        label: {} for label in sorted(defenses.values())
    }
    for row in rows:
        by_defense[defenses[row.defense]][attacks[row.attack], row.seed] = row
    present = sorted({model for cells in by_defense.values() for model in cells})
    expected = [
        m for m in present if any(m in cells and cells[m].ok for cells in by_defense.values())
    ]
    healthy = frozenset(label for method, label in attacks.items() if _poison_ratio(method) == 0)
    facts = tuple(
        replace(
            _defense(label, method, by_defense[label], present, healthy),
            sensitivity=_sensitivity(studies.get(studied(where, method))),
        )
        for method, label in _by_label(defenses)
    )
    order = sorted(attacks.items(), key=lambda item: (item[1] not in healthy, item[1]))
    met = tuple(
        _attack(label, method, [row for row in rows if attacks[row.attack] == label])
        for method, label in order
    )
    threat_of = threats_of(attacks)
    ranking = rank(
        by_defense,
        expected,
        {attack.label: threat_of[attack.label] for attack in met if attack.threat},
        healthy,
        _aside(facts, variants(defenses, where.protocol)),
    )
    entries = tuple(
        _entry(a, d, cells, present) for _, a in order for d, cells in by_defense.items()
    )
    return Section(
        where=where,
        dataset=datasets[where.dataset],
        model=models[where.model],
        title=" · ".join(
            [
                where.protocol,
                datasets[where.dataset],
                models[where.model],
                *_differences(where, wheres),
            ]
        ),
        seeds=tuple(sorted({row.seed for row in rows})),
        attacks=tuple(
            replace(attack, survival=_survival(attack.label, facts, by_defense, ranking))
            for attack in met
        ),
        defenses=facts,
        entries=entries,
        ranking=ranking,
        lost=tuple(model for model in present if model not in expected),
        fronts=fronts(facts, entries, ranking),
    )


def _aside(defenses: Sequence[DefenseFacts], again: Sequence[str]) -> dict[str, RankingStatus]:
    """Return the defenses that do not compete with the others, each with the word for what it is
    instead.
    """
    by_models: dict[str, RankingStatus] = {
        d.label: "by models" for d in defenses if d.kind.family == MODEL_DETECTOR
    }
    return by_models | dict.fromkeys(again, "variant")


def _attack(label: str, method: Method, mine: Sequence[Row]) -> AttackFacts:
    """Return the facts about an attack except for its survival, which follows only from the
    ranking. Where models of one seed differ, made on several kinds of processors, the undefended
    one is that of the row without a defense.
    """
    first = sorted(mine, key=lambda row: row.defense.name != UNDEFENDED)
    by_seed = {row.seed: row.baseline for row in reversed(first) if row.baseline}
    baseline = {
        name: summary
        for name in METRICS[:3]
        if (
            summary := summarise(
                [v for seed in sorted(by_seed) if (v := by_seed[seed][name]) is not None]
            )
        )
    }
    return AttackFacts(
        label, method, attack_kind(method, mine), _poison_ratio(method), baseline, survival=None
    )


def _survival(
    attack: str,
    defenses: Sequence[DefenseFacts],
    cells: Mapping[str, Mapping[AttackedModel, Row]],
    ranking: Ranking,
) -> float | None:
    """Return the mean ASR over the measured cells of those defenses that contend and have complete
    rows.
    """
    complete = {
        standing.defense for standing in ranking.standings if standing.measured == standing.expected
    }
    rows = [
        row
        for d in defenses
        if d.contends and d.label in complete
        for row in cells[d.label].items()
    ]
    left = [
        asr
        for model, row in rows
        if model[0] == attack and row.ok and (asr := row.metrics["asr"]) is not None
    ]
    return tidy(statistics.fmean(left)) if left else None


def _defense(
    label: str,
    method: Method,
    cells: Mapping[AttackedModel, Row],
    present: Sequence[AttackedModel],
    healthy: frozenset[str],
) -> DefenseFacts:
    attacked = [row for model, row in cells.items() if model[0] not in healthy]
    sound = [row for model, row in cells.items() if model[0] in healthy]
    oracle, cost = (
        any(row.oracle for row in cells.values()),
        _cost([row for row in attacked if row.ok]),
    )
    found = summarise_detection(attacked, sound, sum(model[0] not in healthy for model in present))
    return DefenseFacts(label, method, defense_kind(method, cells.values()), oracle, found, cost)


def _sensitivity(found: Study | None) -> Sensitivity | None:
    return Sensitivity(found.mean, found.scores, found.attacks, found.seeds) if found else None


def _entry(
    attack: str, defense: str, cells: Mapping[AttackedModel, Row], present: Sequence[AttackedModel]
) -> Pairing:
    models = [model for model in present if model[0] == attack]
    rows = [cells[model] for model in models if model in cells]
    ok = [row for row in rows if row.ok]
    codes = Counter(cells[model].code if model in cells else "missing" for model in models)
    return Pairing(
        attack=attack,
        defense=defense,
        codes=dict(sorted(codes.items())),
        seeds=tuple(row.seed for row in ok),
        metrics=_metrics(ok),
        images={name: total for name, (_, total) in ok[0].hits.items()} if ok else {},
        detection={
            name: mean
            for name in (*DETECTION_FIGURES, "flagged")
            if (mean := mean_of(ok, name)) is not None
        },
        utility=_utility(ok),
        cost=_cost(ok),
        reasons=tuple(dict.fromkeys(row.reason for row in rows if not row.ok and row.reason)),
        doubts=(*dict.fromkeys(doubt for row in ok for doubt in row.doubts), *_strays(ok)),
        oracle=any(row.oracle for row in rows),
        stale=any(row.stale for row in rows),
        trust=lowest([row.trust for row in ok]),
        cells=tuple(rows),
    )


def _strays(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a sentence for each seed that lies far from its siblings."""
    return (words for _, words in stray_doubts({row.seed: row.metrics for row in rows}))


def _metrics(rows: Sequence[Row]) -> dict[str, Summary]:
    found = {}
    for name in (*METRICS, *EXTRA_METRICS):
        values = [value for row in rows if (value := row.metrics.get(name)) is not None]
        hits = rows[0].hits.get(name) if len(rows) == 1 else None
        if summary := summarise(values, hits):
            found[name] = summary
    return found


def _utility(rows: Sequence[Row]) -> dict[str, float]:
    """Return the mean of each figure over the seeds for which it was counted."""
    found = {
        name: [row.utility[name] for row in rows if name in row.utility] for name in UTILITY_FIGURES
    }
    return {name: tidy(statistics.fmean(values)) for name, values in found.items() if values}


def _cost(rows: Sequence[Row]) -> dict[str, float]:
    """Return the cost: the mean of the seconds over seeds, and the largest memory and number of
    clean samples of any seed.
    """
    if not rows:
        return {}
    mean = statistics.fmean(row.cost["seconds"] for row in rows)
    most = {name: max(row.cost[name] for row in rows) for name in ("peak_bytes", "clean_samples")}
    return {"seconds": round(mean, 3)} | most


def _differences(where: TableKey, wheres: Sequence[TableKey]) -> list[str]:
    """Return the facts by which this table differs from others of the same protocol: its name,
    recipe and budget.
    """
    alike = [
        w
        for w in wheres
        if (w.protocol, w.dataset, w.model) == (where.protocol, where.dataset, where.model)
    ]
    recipe, recipes = json.loads(where.recipe), [json.loads(w.recipe) for w in alike]
    words = [label(where.table)] if where.table else []
    words += [
        label(f"{name}={recipe[name]}")
        for name in sorted(recipe)
        if any(other.get(name) != recipe[name] for other in recipes)
    ]
    if len({w.clean_budget for w in alike}) > 1:
        words.append(f"clean_budget={where.clean_budget:g}")
    return words


def _poison_ratio(method: Method) -> float | None:
    ratio = method.params.get("poison_ratio")
    return float(ratio) if isinstance(ratio, int | float) and 0 <= ratio <= 1 else None


def _by_label(methods: Mapping[Method, str]) -> list[tuple[Method, str]]:
    return sorted(methods.items(), key=lambda item: item[1])
