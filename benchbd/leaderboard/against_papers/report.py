"""The page that compares published numbers with those measured here: Markdown, as a pure function
of both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from benchbd.leaderboard.against_papers.paper_numbers import (
    PublishedFigures,
    PublishedMethod,
    PublishedTable,
)
from benchbd.leaderboard.against_papers.verdicts import (
    Target,
    VerdictName,
    difference,
    fits,
    targets,
)
from benchbd.leaderboard.board.contents import Board, Pairing
from benchbd.leaderboard.board.interval import FEWEST_SEEDS, Summary
from benchbd.leaderboard.render.markdown import escape, table_lines
from benchbd.leaderboard.render.tables import TextTable, interval, status
from benchbd.measure.shares import percent

VERDICTS_ALWAYS_COUNTED: tuple[VerdictName, ...] = ("reproduced", "not reproduced", "not run")
VERDICTS_COUNTED_IF_ANY: tuple[VerdictName, ...] = ("too few seeds", "no numbers", "ambiguous")
NOTHING = "-"

INTRODUCTION = (
    "Published numbers, held against what benchbd measures in the same setting. Made by `benchbd "
    "leaderboard reproduction` from "
    "the result files and from `leaderboard/published/`; nothing on this page is written by hand. "
    "Shares are in percent, "
    "differences in points of percent; ACC, ASR and RC are those of [the board](leaderboard.md)."
)
RULE = (
    "A metric counts as reproduced if its interval here and the band [published - bar, published "
    "+ bar] share a point; ends "
    f"count. The interval is Student's, 95 %, of the mean over {FEWEST_SEEDS} or more seeds "
    "([statistics](statistics.md)). A target is "
    "reproduced if ACC and ASR both are; otherwise the distance from band to interval is given. "
    f"Of fewer than {FEWEST_SEEDS} seeds "
    "there is no verdict. RC is shown and not judged."
)
MARKS = (
    "*Doubtful* is what [is possible but seldom means what it seems to](statistics.md), such as "
    "the accuracy of guessing; "
    "*stale* is what was made by other code of the same version."
)
CAUTION = (
    "Seeds that disagree make a wide interval, which meets any band. So the difference of the "
    "means stands beside each verdict, "
    "and a target that the means alone would miss is called reproduced *by the interval alone*."
)


def to_page(tables: Sequence[PublishedTable], board: Board) -> str:
    """Return the page about reproduction in Markdown: each table of published numbers held against
    the board.
    """
    return "\n".join(_lines(tables, board)).rstrip("\n") + "\n"


def _lines(tables: Sequence[PublishedTable], board: Board) -> Iterator[str]:
    yield from ("# Reproduction", "", INTRODUCTION, "")
    for table in tables:
        found = targets(table, board)
        yield from (
            f"## {escape(table.name)}",
            "",
            f"**{summary(found)}**{_none_run(table, found)}",
            "",
        )
        yield from _setting(table)
        yield from _bars(table)
        yield from _cards(table, found)
        yield from _asides(table)
        yield from _data(table, found, board)
    if board.faults:
        yield (
            f"{len(board.faults)} result files were not believed and count for nothing; `benchbd "
            "leaderboard build` names them."
        )


def summary(found: Sequence[Target]) -> str:
    """Return the number of targets in each state, as a sentence."""
    counts = Counter(target.state for target in found)
    words = [
        f"{counts[state]} {state}"
        for state in (*VERDICTS_ALWAYS_COUNTED, *VERDICTS_COUNTED_IF_ANY)
        if state in VERDICTS_ALWAYS_COUNTED or counts[state]
    ]
    alone = sum(target.by_interval_alone for target in found)
    words[0] += f" ({alone} of them by the interval alone)" if alone else ""
    return f"{len(found)} targets: {', '.join(words)}."


def _none_run(table: PublishedTable, found: Sequence[Target]) -> str:
    none = all(target.state == "not run" for target in found)
    return f" No cell of {escape(table.setting.protocol)} has been run here." if none else ""


def _setting(table: PublishedTable) -> Iterator[str]:
    source, setting = table.source, table.setting
    runs = "one run" if source.seeds == 1 else f"the mean of {source.seeds} runs"
    yield from (
        f"Source: {escape(source.title)}; {escape(source.authors)}; <{escape(source.url)}>. Each "
        f"number is of {runs}.",
        "",
    )
    yield (
        "Setting, of the targets and of the cells held against them: protocol "
        f"`{setting.protocol}`, data set "
        f"`{setting.dataset.called}`, model `{setting.model.called}`, {setting.epochs} epochs, "
        f"{100 * setting.poison_ratio:g} % of "
        f"the training set poisoned, {100 * setting.clean_budget:g} % of it for the defender. "
        f"`benchbd matrix {setting.protocol.partition('@')[0]}` runs the cells that are missing."
    )
    yield from (
        "",
        f"Beside them `{table.beside.protocol}`, as orientation and never for a verdict: "
        f"{escape(table.beside.differs)}.",
        "",
    )


def _bars(table: PublishedTable) -> Iterator[str]:
    bars = (("undefended", table.bars.undefended), ("defended", table.bars.defended))
    rows = tuple((name, f"{bar.acc:g}", f"{bar.asr:g}") for name, bar in bars)
    yield from ("### What counts as reproduced", "", RULE, "", CAUTION, "", MARKS, "")
    yield from table_lines(TextTable("The bar, in points", ("cells", "ACC", "ASR"), rows))


def _cards(table: PublishedTable, found: Iterable[Target]) -> Iterator[str]:
    """Yield one table for each attack, in the order of the published ones."""
    mine = list(found)
    header = (
        *(
            "defense",
            "verdict",
            "published ACC / ASR / RC",
            "ACC here",
            "ASR here",
            "RC here",
            "seeds",
        ),
        *("ACC here - published", "ASR here - published", f"{table.beside.protocol}: ACC / ASR"),
    )
    for attack in table.targets:
        called = table.attacks[attack]
        rows = tuple(
            _card(target, table.defenses[target.defense])
            for target in mine
            if target.attack == attack
        )
        yield from table_lines(TextTable(f"{attack} ({_called(called)})", header, rows, texts=2))


def _card(target: Target, called: PublishedMethod) -> tuple[str, ...]:
    metrics = target.entry.metrics if target.entry else {}
    here = [metrics.get(name) for name in ("acc", "asr", "rc")]
    away = [_difference(target.figures.acc, here[0]), _difference(target.figures.asr, here[1])]
    name = f"{target.defense} ({_called(called)})"
    return (
        name,
        target.words,
        _published(target.figures),
        *map(interval, here),
        _seeds(target.entry),
        *away,
        _beside(target.beside),
    )


def _called(called: PublishedMethod) -> str:
    return f"{called.published}, note {called.note}" if called.note else called.published


def _published(figures: PublishedFigures) -> str:
    return " / ".join(
        NOTHING if value is None else f"{value:.2f}"
        for value in (figures.acc, figures.asr, figures.rc)
    )


def _difference(published: float, here: Summary | None) -> str:
    return f"{difference(published, here):+.2f}" if here else NOTHING


def _seeds(entry: Pairing | None) -> str:
    """Return the number of measured and expected seeds, such as `3/3`, with the marks that speak
    against them.
    """
    return f"{entry.measured}/{entry.expected}{_marks(entry)}" if entry else NOTHING


def _marks(entry: Pairing) -> str:
    """Return the marks of an entry: `, stale` if the code has changed since, `, doubtful` if the
    board states a doubt.
    """
    return "".join(
        f", {mark}" for mark, set_ in (("stale", entry.stale), ("doubtful", entry.doubts)) if set_
    )


def _beside(entries: Iterable[Pairing]) -> str:
    """Return `70.1 / 94.4 (3 seeds)`, or how the cells ended; all variants if there are several."""
    return "; ".join(map(_means, entries)) or NOTHING


def _means(entry: Pairing) -> str:
    if not entry.measured:
        return status(entry)
    acc, asr = (
        percent(entry.metrics[name].mean if name in entry.metrics else None)
        for name in ("acc", "asr")
    )
    return (
        f"{acc} / {asr} ({entry.measured} "
        f"{'seed' if entry.measured == 1 else 'seeds'}{_marks(entry)})"
    )


def _asides(table: PublishedTable) -> Iterator[str]:
    """Yield lists of the differences between the published setting and ours, of the notes of the
    published table, and of its numbers that are no targets.
    """
    methods = {**table.attacks, **table.defenses}
    differing = [
        (f"`{name}`", called.differs) for name, called in methods.items() if called.differs
    ]
    yield from _list('Known differences ("there": the published code at its defaults)', differing)
    yield from _list(
        "Notes", [(f"note {escape(mark)}", text) for mark, text in table.notes.items()]
    )
    yield from _list("Left out", [(escape(each.published), each.why) for each in table.left_out])


def _list(title: str, items: Sequence[tuple[str, str]]) -> Iterator[str]:
    if items:
        yield from (
            f"### {title}",
            "",
            *(f"- {name}: {escape(text)}" for name, text in items),
            "",
        )


def _data(table: PublishedTable, found: Sequence[Target], board: Board) -> Iterator[str]:
    """Yield lines about the images from which the results are made, as the results state them, and
    about results of another setting.
    """
    yield from ("### The data", "", escape(table.data.about), "")
    yield from (
        f"Effect on ACC: {escape(table.data.effect_on_acc) or 'not measured'}.",
        "",
    )
    own = [target.entry for target in found if target.entry]
    other = [entry for target in found for entry in target.beside]
    for protocol, entries in ((table.setting.protocol, own), (table.beside.protocol, other)):
        yield from _made_of(table, protocol, entries)
    odd = [
        s
        for s in board.sections
        if s.where.protocol == table.setting.protocol and not fits(s, table.setting)
    ]
    if cells := sum(len(entry.cells) for section in odd for entry in section.entries):
        yield from (
            f"{cells} cells call themselves {escape(table.setting.protocol)} and are of another "
            "setting; left aside.",
            "",
        )


def _made_of(table: PublishedTable, protocol: str, entries: Iterable[Pairing]) -> Iterator[str]:
    """Yield one line for each pair of training and test images from which cells on this page were
    made.
    """
    made = Counter(
        tuple(row.made.get(f"{split} data", "")[:12] for split in ("train", "test"))
        for e in entries
        for row in e.cells
    )
    known = {(copy.train, copy.test): copy.images for copy in table.data.copies}
    for (train, test), cells in sorted(made.items()):
        prints = (
            f"training images `{escape(train) or 'unknown'}`, test images "
            f"`{escape(test) or 'unknown'}`"
        )
        yield from (
            f"- {cells} cells of `{protocol}`: "
            f"{escape(known.get((train, test), 'images not described here'))}; {prints}",
            "",
        )
