"""What a person sees of a matrix: the plan, the live view and the summary."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from benchbd.leaderboard.board.method_names import Method, labels
from benchbd.matrices.plan import PlannedAttack
from benchbd.matrices.planned_matrix import PlannedMatrix
from benchbd.matrices.planned_plugin import PlannedPlugin
from benchbd.matrices.stored_state import TO_RUN, StateName, StoredState
from benchbd.measure.shares import percent
from benchbd.plugin.entry import COST_CLASSES
from benchbd.plugin.registry import find
from benchbd.record.cell import Cell
from benchbd.record.plugin_record import PluginRecord
from benchbd.report.duration import duration

if TYPE_CHECKING:
    from benchbd.matrices.matrix import MatrixProgress

STATE_WORDS: dict[StateName, str] = {
    "reused": "stored already",
    "stale": "stored, made with another source of a plugin (--rerun stale does them again)",
    "missing": "to run",
    "broken": "stored but not to be believed; to run again",
    "again": "to run again, as asked",
    "excluded": "do not apply",
}

REASONS_SHOWN = 10
"""Lines of reasons in a plan."""


def print_plan(matrix: PlannedMatrix, as_json: bool = False) -> None:
    """Print what will run, what is used again and when it was made, what does not apply and why,
    and how long it takes.
    """
    if as_json:
        print(json.dumps(_plan_json(matrix)))  # noqa: T201
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    console.print(f"[bold]{matrix.protocol.id}[/]  {matrix.protocol.about}")
    counts = Counter(standing.state for standing in matrix.standings)
    for state, words in STATE_WORDS.items():
        if counts[state]:
            console.print(f"{counts[state]:7,} cells {words}{_span(matrix, state)}")
    for reason, count in Counter(
        s.planned.excluded for s in matrix.standings if s.planned.excluded
    ).most_common(REASONS_SHOWN):
        console.print(f"        n/a: {count} x {reason}", style="dim", markup=False)
    _print_doubts(console, matrix, "broken", "stale")
    _print_attacked(console, matrix)
    _print_doubtful_attacks(console, matrix)
    _print_estimate(console, matrix)


def print_broken(matrix: PlannedMatrix) -> None:
    """Print on stderr which stored results cannot be believed, before a run replaces them."""
    console = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 160)
    _print_doubts(console, matrix, "broken")
    _print_doubtful_attacks(console, matrix)


def _print_doubts(console: Console, matrix: PlannedMatrix, *states: StateName) -> None:
    doubts = Counter(f"{s.state}: {s.reason}" for s in matrix.standings if s.state in states)
    for doubt, count in doubts.most_common(REASONS_SHOWN):
        console.print(f"        {count} x {doubt}", style="dim", markup=False)


def _plan_json(matrix: PlannedMatrix) -> dict[str, Any]:
    """Return the plan for programs. seconds: the work whose duration is known from earlier results;
    unknown: the stages whose duration is not.
    """
    estimate, unknown = matrix.estimate(), Counter[str]()
    for named, count in estimate.unknown.items():
        unknown[f"{named.kind} {named.label}"] += count
    cells = [_plan_row(matrix, standing) for standing in matrix.standings]
    return {"cells": cells, "seconds": round(estimate.seconds, 1), "unknown": unknown}


def _plan_row(matrix: PlannedMatrix, standing: StoredState) -> dict[str, str | None]:
    attacked = matrix.attacked.get(standing.planned.job.folder_name)
    return {
        "key": standing.planned.key,
        "result": standing.planned.result_name,
        "state": standing.state,
        "reason": standing.reason,
        "finished": standing.stored.provenance.get("finished") if standing.stored else None,
        "attack_result": attacked.state if attacked else None,
    }


def _print_attacked(console: Console, matrix: PlannedMatrix) -> None:
    """Print how many attacked models the cells to run need."""
    if count := len(matrix.attacked):
        to_make = sum(attacked.to_make for attacked in matrix.attacked.values())
        console.print(
            f"{count:7,} attacked models: {count - to_make:,} stored already, {to_make:,} to train"
        )


def _print_doubtful_attacks(console: Console, matrix: PlannedMatrix) -> None:
    """Print the stored attacked models that are stale or broken."""
    doubtful = [(name, attacked) for name, attacked in matrix.attacked.items() if attacked.reason]
    for name, attacked in doubtful[:REASONS_SHOWN]:
        then = (
            "used as it is; --rerun stale makes it again"
            if attacked.state == "stale"
            else "to train again"
        )
        console.print(
            f"        {attacked.state}: {matrix.records / name} {attacked.reason}; {then}",
            style="dim",
            markup=False,
        )


def _print_estimate(console: Console, matrix: PlannedMatrix) -> None:
    estimate = matrix.estimate()
    if estimate.seconds:
        console.print(f"about {duration(estimate.seconds)} of work, judging by stored results")
    if unknown := estimate.unknown:
        console.print(
            f"{unknown.total():,} stages of which nothing is stored yet, so how long they take is "
            "not known:"
        )
    stages: Counter[str] = Counter()
    for plugin, count in unknown.items():
        stages[_cost(plugin)] += count
    for text, count in stages.items():
        console.print(f"{count:15,} x {text}", markup=False)


def _cost(named: PlannedPlugin) -> str:
    """Return the cost of a plugin according to its card, for a plugin that nobody has timed
    here.
    """
    card = find(named.kind, named.found_as).card
    letter = str(card.get("cost"))
    meaning = COST_CLASSES.get(letter)
    cost = f"cost {letter}, {meaning}" if meaning else "its card names no cost"
    first = f"; trains first: {', '.join(map(str, card['trains']))}" if card.get("trains") else ""
    return f"{named.kind} {named.label}: {cost}{first}"


class LiveView:
    """A view of the cells that are done, running and failed, and of the time left. Without a
    terminal it prints lines.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[now]}", style="dim"),
            console=self._console,
            disable=not sys.stderr.isatty(),
        )
        self._task: TaskID | None = None
        self._began = time.monotonic()
        self._told = 0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def update(self, standing: MatrixProgress) -> None:
        """Show a new state of the matrix."""
        left, failed = self._left(standing), standing.failures
        words = "cells" + (f", {failed} failed" if failed else "")
        running = standing.tally.running
        now = f"{len(running)} running: {'; '.join(running)}" if running else ""
        if self._task is None:
            self._task = self._bars.add_task(words, total=standing.total, left=left, now=now)
        self._bars.update(
            self._task, description=words, completed=standing.done, left=left, now=now
        )
        if not sys.stderr.isatty() and standing.done != self._told:
            self._console.print(
                f"{standing.done}/{standing.total} {words} {left}  {now}", markup=False
            )
            self._told = standing.done

    def _left(self, standing: MatrixProgress) -> str:
        """Return the time left, judging by the pace so far; empty before the first cell is done."""
        made = sum(standing.ended.values())
        if not made:
            return ""
        seconds_each = (time.monotonic() - self._began) / made
        return f"{duration(seconds_each * (standing.total - standing.done))} left"


def print_summary(matrix: PlannedMatrix, cells: list[Cell]) -> None:
    """Print mean ASR and ACC over the seeds, and the cells that did not succeed."""
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    stored = {cell.key: cell for cell in cells}
    shown = [s.planned for s in matrix.standings if s.planned.key in stored]
    columns = _called(matrix, (each.job for each in shown))
    groups: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for each, row in zip(shown, _labelled([each.defense.record for each in shown]), strict=True):
        groups[columns[each.job.folder_name], row].append(stored[each.key])
    defenses, attacks = (
        list(dict.fromkeys(row for _, row in groups)),
        list(dict.fromkeys(column for column, _ in groups)),
    )
    for names in _fitting(attacks, console.width - max(map(len, defenses), default=0)):
        table = Table(
            "defense",
            *names,
            title="ASR / ACC %, mean over seeds",
            title_justify="left",
            header_style="bold",
        )
        for defense in defenses:
            table.add_row(defense, *(_mean(groups[name, defense]) for name in names))
        console.print(table)
    for cell in cells:
        if cell.status.code not in ("ok", "n/a"):
            where = f"{cell.cell.attack.name}, {cell.cell.defense.name}, seed {cell.cell.seed}"
            console.print(f"{cell.status.code}: {where}: {cell.status.reason}", markup=False)
    if left := _left_alone(matrix):
        console.print(left)
    console.print(f"results: {matrix.results}/{matrix.protocol.name}/", markup=False)


def _left_alone(matrix: PlannedMatrix) -> str:
    """Return a line on the cells that failed before and were not run again, and how to run them
    again; empty where there are none.
    """
    kept = (s.stored.status.code for s in matrix.standings if s.stored and s.state not in TO_RUN)
    codes = [code for code in kept if code not in ("ok", "n/a")]
    if not codes:
        return ""
    kinds = sorted(set(codes))
    cells, them = ("cell", "it") if len(codes) == 1 else ("cells", "them")
    return (
        f"{len(codes):,} stored {cells} ended {' or '.join(kinds)}; --rerun {','.join(kinds)} "
        f"does {them} again"
    )


def _fitting(names: list[str], width: int) -> list[list[str]]:
    """Return the names in as many lists as are needed for a table with these columns to fit into
    the width.
    """
    frame = 3
    each = max(map(len, [*names, "100.0 / 100.0"])) + frame
    count = max(1, (width - frame) // each)
    return [names[start : start + count] for start in range(0, len(names), count)]


def _called(matrix: PlannedMatrix, jobs: Iterable[PlannedAttack]) -> dict[str, str]:
    """Return the names of the attacked models by their folder: the attack, and the data set and the
    model where there are several of them.
    """
    seen = {job.folder_name: job.ingredients for job in jobs}
    parts = [[made_of.attack for made_of in seen.values()]]
    if len(matrix.protocol.datasets) > 1:
        parts.append([made_of.dataset for made_of in seen.values()])
    if len(matrix.protocol.models) > 1:
        parts.append([made_of.model for made_of in seen.values()])
    words = zip(*map(_labelled, parts), strict=True)
    return {folder: ", ".join(each) for folder, each in zip(seen, words, strict=True)}


def _labelled(plugins: list[PluginRecord]) -> list[str]:
    """Return a label for each plugin. Those of the same name are told apart by the parameters in
    which they differ.
    """
    methods = [Method.of(plugin) for plugin in plugins]
    names = labels(methods)
    return [names[method] for method in methods]


def _mean(cells: list[Cell]) -> str:
    measured = [cell.metrics for cell in cells if cell.metrics is not None]
    if not measured:
        return next((cell.status.code for cell in cells), "")
    asrs = [m.asr for m in measured if m.asr is not None]
    return (
        f"{percent(sum(asrs) / len(asrs) if asrs else None)} / "
        f"{percent(sum(m.acc for m in measured) / len(measured))}"
    )


def _span(matrix: PlannedMatrix, state: StateName) -> str:
    """Return when the first and the last of the stored cells were made."""
    times = sorted(
        s.stored.provenance.get("finished", "")
        for s in matrix.standings
        if s.state == state and s.stored
    )
    if not times:
        return ""
    return f", from {times[0][:16]}" + (
        f" to {times[-1][:16]}" if times[0][:16] != times[-1][:16] else ""
    )
