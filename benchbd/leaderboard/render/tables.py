"""The board as tables of text, ready for any renderer: percent and words here, escaping there."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchbd.leaderboard.board.contents import (
    THREAT_ASR,
    AttackFacts,
    Board,
    DefenseFacts,
    Pairing,
    Section,
)
from benchbd.leaderboard.board.interval import Summary
from benchbd.leaderboard.board.paired_tests import ALPHA
from benchbd.leaderboard.board.ranking import Aggregate, Rank
from benchbd.leaderboard.board.text import cut
from benchbd.measure.shares import percent

LONGEST_REASON = 160

TERMS = {
    "ACC": "clean test images that are recognised; higher is better",
    "ASR": "triggered images taken for the class that the attacker wants; lower is better",
    "RC": "triggered images recognised as what they are; higher is better",
    "b": "clean images of other classes taken for the attacker's class without any trigger",
    "DER": "the score of a defense: 50, plus half of what ASR above b falls, less half of what ACC "
    "falls; 50 is doing nothing",
}
"""The meaning of each figure, in one line."""

METRICS_EXPLAINED = (
    "Shares in percent. ACC: clean test images classified as their label. ASR: triggered images, "
    "none of them of the attacked "
    "label, classified as the attacked label. RC: those same images classified as their true "
    "label. b: those same images without the trigger, classified as the attacked label all the "
    "same; an ASR of that size is no work of a trigger. "
    "DER: (max(0, drop of ASR) - max(0, drop of ACC) + 1) / 2, of ASR above b; 50 is a defense "
    "that changed nothing. "
    "In brackets 95 % intervals: Wilson's over images for one seed, Student's t over seeds for "
    "three and more, which has no "
    "width where all seeds agree; of two seeds both values stand and no interval. "
    "An oracle saw something that no defender has; it is shown and not ranked. "
    "ACC, ASR, RC, b and DER can be recomputed from stored predictions; figures of detectors, "
    "curves and cost are as reported."
)

IMPUTED = (
    "Not measurements: every missing, failed or inapplicable cell counts as ACC 0, RC 0, ASR 100, "
    "DER 0. Not ranked."
)


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table of text. `texts`: the number of columns at the left that hold words; the others hold
    figures.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    texts: int = 1


def summary_line(board: Board) -> str:
    """Return a line with the size of the board, and the number of files that were not believed."""
    faults = f"; {_counted(len(board.faults), 'file')} not believed" if board.faults else ""
    return f"{_counted(board.cells, 'cell')} in {_counted(len(board.sections), 'table')}{faults}."


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def headline_tables(section: Section) -> Iterator[TextTable]:
    """Ranking, matrix, detectors, and what has no numbers; a table without rows is left out."""
    found = (
        _ranking(section),
        _incomplete(section),
        _matrix(section),
        _detectors(section),
        _unmeasured(section),
        _doubtful(section),
    )
    yield from (table for table in found if table.rows)


def attack_tables(section: Section) -> Iterator[TextTable]:
    """For each attack every defense, with intervals and cost."""
    return (_details(attack, entries, section) for attack, entries in section.by_attack())


def _ranking(section: Section) -> TextTable:
    places = [s for s in section.ranking.standings if s.measured == s.expected]
    return TextTable(
        "Ranking of defenses",
        ("rank", "defense", "cells", *_HEADLINE, "ACC on the sound model"),
        tuple(_standing_row(s, s.aggregates, ranks(s)) for s in places if s.aggregates),
        ranking_note(section),
        texts=2,
    )


_HEADLINE = (
    "DER worst",
    "DER mean",
    "ASR worst",
    "ASR mean",
    "ACC worst",
    "ACC mean",
    "RC worst",
    "RC mean",
)


def ranks(standing: Rank) -> str:
    """Return the ranks that the tests leave open, such as `1-9`, or the word for the place of a
    defense without a rank.
    """
    return (
        standing.place
        if standing.ranks is None
        else "-".join(map(str, dict.fromkeys(standing.ranks)))
    )


def ranking_note(section: Section) -> str:
    """Return the note below a ranking: what is averaged and tested, what is left out, and what the
    ranking cannot show.
    """
    threats = [attack for attack in section.attacks if attack.threat]
    sentences = [
        "Worst case and mean over attacks, each attack the mean of its seeds. Ranks are those "
        "that the tests leave open: behind "
        "all that are shown to be better, before all that are shown to be worse (DER, exact "
        "sign-flip test over the same "
        f"attacked models, Holm's correction, {100 * ALPHA:g} %). Only rows with all cells are "
        "ranked."
    ]
    sentences += _not_rivals(section)
    weak = [attack.label for attack in section.attacks if not attack.healthy and not attack.threat]
    if weak:
        sentences.append(
            f"Left out, for an ASR below {100 * THREAT_ASR:g} % without a defense: "
            f"{', '.join(weak)}."
        )
    tops = [(1 + attack.baseline["asr"].mean) / 2 for attack in threats if "asr" in attack.baseline]
    if tops:
        sentences.append(
            f"Mean DER is 50 for doing nothing and at most {percent(statistics.fmean(tops))} here."
        )
    pairs = len(section.ranking.comparisons)
    met = max((c.attacks for c in section.ranking.comparisons), default=0)
    if pairs and pairs * 2.0 ** (1 - met) >= ALPHA:
        sentences.append(
            f"With {_counted(met, 'attack')} and {_counted(pairs, 'pair')} no difference can "
            "reach that level."
        )
    return " ".join(sentences)


def _not_rivals(section: Section) -> Iterator[str]:
    """Yield the reasons why complete rows may have no rank, and what counts as one attack."""
    places = {standing.place for standing in section.ranking.standings}
    if "variant" in places:
        yield "Rows of one defense that differ in numbers alone are one rival: the first listed."
    if "by models" in places:
        yield "A detector of models is judged by models, in the table of detectors."
    tested = max((c.attacks for c in section.ranking.comparisons), default=0)
    if 0 < tested < sum(attack.threat for attack in section.attacks):
        yield "Attacks that differ in numbers alone, such as poison ratios, count as one."


def _incomplete(section: Section) -> TextTable:
    places = [s for s in section.ranking.standings if s.measured < s.expected]
    return TextTable(
        "Incomplete rows, imputed worst case",
        ("place", "defense", "cells", *_HEADLINE, "ACC on the sound model"),
        tuple(_standing_row(s, s.imputed, s.place) for s in places),
        IMPUTED,
        texts=2,
    )


def _standing_row(
    standing: Rank, aggregates: Mapping[str, Aggregate], place: str
) -> tuple[str, ...]:
    figures = []
    for metric in ("der", "asr", "acc", "rc"):
        aggregate = aggregates.get(metric)
        figures += (
            [f"{percent(aggregate.worst)} ({aggregate.worst_attack})", percent(aggregate.mean)]
            if aggregate
            else ["-", "-"]
        )
    cells = f"{standing.measured}/{standing.expected}"
    return place, standing.defense, cells, *figures, percent(standing.clean_acc)


def _matrix(section: Section) -> TextTable:
    names = [f"{d.label} (oracle)" if d.oracle else d.label for d in section.defenses]
    columns = zip(*(entries for _, entries in section.by_attack()), strict=True)
    return TextTable(
        "ASR / ACC",
        ("defense", *(a.label for a in section.attacks)),
        tuple(
            (
                name,
                *(
                    _short(entry, attack.healthy)
                    for attack, entry in zip(section.attacks, column, strict=True)
                ),
            )
            for name, column in zip(names, columns, strict=True)
        ),
        "Means over seeds; ACC alone where nothing is poisoned; how many of the seeds in brackets "
        "where some are missing.",
    )


def _short(entry: Pairing, healthy: bool) -> str:
    """Return what fits into a cell of the matrix. healthy: whether nothing was poisoned, so that
    there is no ASR to speak of.
    """
    if not entry.measured:
        return status(entry)
    asr = entry.metrics.get("asr")
    acc = percent(entry.metrics["acc"].mean)
    figures = f"ACC {acc}" if healthy else f"{percent(asr.mean if asr else None)} / {acc}"
    return (
        figures
        if entry.measured == entry.expected
        else f"{figures} ({entry.measured}/{entry.expected})"
    )


def status(entry: Pairing) -> str:
    """Return `ok`, `n/a`; with counts where not all cells ended alike, such as `ok 2,
    timeout 1`.
    """
    if len(entry.codes) == 1:
        return next(iter(entry.codes))
    return ", ".join(f"{code} {count}" for code, count in entry.codes.items())


def _details(attack: AttackFacts, entries: tuple[Pairing, ...], section: Section) -> TextTable:
    baseline = ", ".join(
        f"{name.upper()} {interval(summary)}" for name, summary in attack.baseline.items()
    )
    oracles = {d.label for d in section.defenses if d.oracle}
    return TextTable(
        f"{attack.label}: no attack, a sound model" if attack.healthy else f"{attack.label}",
        (
            "defense",
            "status",
            "checked",
            "ACC",
            "ASR",
            "b",
            "RC",
            "DER",
            "seeds",
            "images",
            "seconds",
            "peak MB",
            "clean samples",
        ),
        tuple(_detail_row(entry, entry.defense in oracles) for entry in entries),
        f"Undefended: {baseline}." if baseline else "",
        texts=3,
    )


def _detail_row(entry: Pairing, oracle: bool) -> tuple[str, ...]:
    marks = [mark for mark, set_ in (("oracle", oracle), ("stale", entry.stale)) if set_]
    name = f"{entry.defense} ({', '.join(marks)})" if marks else entry.defense
    if not entry.measured:
        return name, status(entry), *[""] * 11
    figures = (interval(entry.metrics.get(metric)) for metric in ("acc", "asr", "b", "rc", "der"))
    images = f"{entry.images.get('acc', 0)} + {entry.images.get('asr', 0)}"
    cost = (
        f"{entry.cost['seconds']:.1f}",
        f"{entry.cost['peak_bytes'] / 1e6:.0f}",
        f"{entry.cost['clean_samples']:.0f}",
    )
    return (
        name,
        status(entry),
        entry.trust,
        *figures,
        f"{entry.measured}/{entry.expected}",
        images,
        *cost,
    )


def interval(summary: Summary | None) -> str:
    """Return `97.2 [96.1, 98.0]`; both values of two seeds; the value alone where there is no
    interval.
    """
    if summary is None:
        return "-"
    if summary.low is not None:
        return f"{percent(summary.mean)} [{percent(summary.low)}, {percent(summary.high)}]"
    return " and ".join(percent(value) for value in summary.values)


def _detectors(section: Section) -> TextTable:
    found = sorted((d for d in section.defenses if d.detecting is not None), key=_by_what_is_found)
    return TextTable(
        "Detectors",
        (
            "defense",
            "models",
            "balanced accuracy",
            "AUROC",
            "TPR at 1 % FPR",
            "TPR at 5 % FPR",
            "TPR",
            "FPR",
            "FPR on sound models",
            "sound models",
        ),
        tuple(_detector_row(d) for d in found),
        "Means over the attacked models that a defense has figures for; where some are missing, "
        "rows do not compare. "
        "TPR and FPR at the method's own threshold. Detectors of models stand first: their figures "
        "are shares of models, balanced accuracy the mean of TPR and 100 - FPR on sound models.",
    )


def _by_what_is_found(defense: DefenseFacts) -> tuple[bool, float, str]:
    """Return the key by which detectors are sorted: detectors of models first, and the best of each
    kind first.
    """
    facts = defense.detecting
    assert facts is not None
    score = facts.auroc if facts.balanced is None else facts.balanced
    return facts.balanced is None, -(score or 0.0), defense.label


def _detector_row(defense: DefenseFacts) -> tuple[str, ...]:
    facts = defense.detecting
    assert facts is not None
    shares = (facts.tpr_at_1_fpr, facts.tpr_at_5_fpr, facts.tpr, facts.fpr, facts.clean_fpr)
    auroc = "-" if facts.auroc is None else f"{facts.auroc:.3f}"
    return (
        defense.label,
        f"{facts.models}/{facts.attacked}",
        percent(facts.balanced),
        auroc,
        *map(percent, shares),
        str(facts.clean_models),
    )


def _unmeasured(section: Section) -> TextTable:
    lost = ", ".join(f"{attack} seed {seed}" for attack, seed in section.lost)
    return TextTable(
        "Cells without numbers",
        ("attack", "defense", "status", "reason"),
        tuple(
            (e.attack, e.defense, status(e), cut("; ".join(e.reasons), LONGEST_REASON))
            for e in section.entries
            if e.measured < e.expected
        ),
        f"No defense has numbers for these attacked models, so no row is expected to: {lost}."
        if lost
        else "",
        texts=4,
    )


def _doubtful(section: Section) -> TextTable:
    """Return the doubts of a section. A doubt about an attack stands in the cells of all its
    defenses, and here once.
    """
    named: dict[tuple[str, str], list[str]] = {}
    for entry in section.entries:
        for doubt in entry.doubts:
            named.setdefault((entry.attack, doubt), []).append(entry.defense)
    rows = [
        (
            attack,
            defenses[0] if len(defenses) == 1 else f"{len(defenses)} defenses",
            cut(doubt, LONGEST_REASON),
        )
        for (attack, doubt), defenses in named.items()
    ]
    return TextTable(
        "Doubtful results",
        ("attack", "defense", "why"),
        tuple(rows),
        "Possible, but seldom what it seems.",
        texts=3,
    )
