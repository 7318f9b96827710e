"""Tables for the terminal: what was attacked, and the results of each defense."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchbd.measure.shares import Counts, Metrics, percent
from benchbd.record.attack_result import AttackResult
from benchbd.record.cell import Cell
from benchbd.record.keys import MODEL_ONLY
from benchbd.record.manifest import Manifest

ROOM_FOR_COUNTS = 85
"""Columns that the table of cells needs to show the counts."""

ROOM_FOR_NAMES = 27
"""Columns that it needs in addition where its rows name the attack and the seed."""

Shares = Callable[[Metrics, dict[str, Any]], tuple[str, str, str, str]]


@dataclass(frozen=True)
class AttackSummary:
    """The part of an attack result that tables show, without its images and its network. header:
    one line on what was attacked. notes: sentences about metrics that cannot be measured, and about
    doubts.
    """

    header: Text
    metrics: Metrics
    counts: Counts
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, attack: AttackResult, reused: bool, stale: str = "") -> AttackSummary:
        """Return the summary of an attack result. reused: whether the result was stored before.
        stale: which of its sources have changed since it was made.
        """
        note = [f"the attack result was {stale}; --rerun attack makes it again"] if stale else []
        head = _header(attack, reused)
        return cls(head, attack.metrics(), attack.counts(), (*unmeasured(attack), *note))


def _header(attack: AttackResult, reused: bool) -> Text:
    """Return one line on what was attacked, and whether the result was stored before."""
    manifest = attack.manifest
    counts = manifest.counts
    if manifest.imported is not None:
        return _imported_header(manifest, manifest.imported)
    cover = f" and {counts.cover} cover" if counts.cover else ""
    poison = f"{counts.poisoned} poisoned{cover}"
    text = Text()
    text.append(f"{manifest.attack.name} on {manifest.dataset.name}", style="bold")
    text.append(
        f", {manifest.model.label}, seed {manifest.seed}: {poison} of "
        f"{len(attack.train):,} training images"
    )
    trained = f"trained in {_seconds(manifest.cost.seconds)}{_threads(manifest)}"
    text.append(f"; {'stored result used again' if reused else trained}", style="dim")
    return text


def _threads(manifest: Manifest) -> str:
    count = manifest.provenance.get("threads")
    return f" on {count} thread{'s' * (count != 1)}" if count else ""


def _called(cell: Cell) -> str:
    """Return the name of the defense. For a defense that was run in another tool it is the name
    that it has there.
    """
    return str(cell.cell.defense.params.get("called", cell.cell.defense.name))


def _imported_header(manifest: Manifest, came: dict[str, Any]) -> Text:
    """Return one line on a result that was made by another tool."""
    counts = manifest.counts
    text = Text()
    text.append(came["called"], style="bold")
    text.append(f", {manifest.model.label}, imported from {came['format']}")
    if counts.poisoned or counts.cover:
        text.append(f": {counts.poisoned} poisoned and {counts.cover} cover training images")
    return text


def cells_table(
    attacked: Sequence[tuple[AttackSummary | None, Sequence[Cell]]], width: int = ROOM_FOR_COUNTS
) -> Table:
    """Return a table with the undefended model first, then one row per defense, and with counts in
    brackets if the width has room for them. Rows of several attack results name the attack and the
    seed.
    """
    several = len(attacked) > 1
    shares = _counted if width >= ROOM_FOR_COUNTS + several * ROOM_FOR_NAMES else _shares
    rows = sum(len(cells) for _, cells in attacked)
    table = Table(header_style="bold", row_styles=["", "on grey11"] if rows > 3 else None)
    for name in (*(("attack", "seed") if several else ()), "defense"):
        table.add_column(name, overflow="fold")
    for name in ("ACC %", "ASR %", "RC %", "DER %", "seconds"):
        table.add_column(name, justify="right")
    for undefended, cells in attacked:
        names = _names(cells) if several else ()
        if undefended is not None:
            own = shares(undefended.metrics, undefended.counts.model_dump())
            table.add_row(*names, "(undefended)", *own, "")
        for cell in cells:
            table.add_row(*names, *_row(cell, shares))
        table.add_section()
    return table


def _names(cells: Sequence[Cell]) -> tuple[str, ...]:
    """Return the attack and the seed that cells share."""
    return (cells[0].cell.attack.label, str(cells[0].cell.seed)) if cells else ("", "")


def _row(cell: Cell, shares: Shares) -> tuple[str | Text, ...]:
    if cell.metrics is None or cell.counts is None:
        return cell.cell.defense.name, Text(cell.status.code, style="yellow")
    mark = " (oracle)" if cell.flags.oracle else ""
    row = shares(cell.metrics, cell.counts.model_dump())
    return _called(cell) + mark, *row, _seconds(cell.cost.defense_seconds)


def failure(cell: Cell) -> str:
    """Return why a cell has no numbers; empty for one that has."""
    return (
        ""
        if cell.status.code == "ok"
        else f"{cell.cell.defense.name}: {cell.status.code}: {cell.status.reason}"
    )


def plain(*parts: Table | Text | str, width: int = 100) -> str:
    """Return parts of the output one below the other, as text without colours."""
    console = Console(
        file=io.StringIO(), width=width, color_system=None, highlight=False, markup=False
    )
    with console.capture() as caught:
        console.print(*filter(None, parts), sep="\n")
    return caught.get().rstrip()


def curve_table(cell: Cell) -> Table:
    """Return the operating points of a sweep as a table: ACC and ASR at each tolerance, before any
    fine-tuning.
    """
    axis = cell.curves[0].axis
    table = Table(
        title=f"{cell.cell.defense.name}: pruned models, before any fine-tuning",
        header_style="bold",
        title_justify="left",
    )
    for name in (
        "ACC drop allowed",
        axis,
        "channels",
        "validation ACC %",
        "ACC %",
        "ASR %",
        "RC %",
    ):
        table.add_column(name, justify="right", overflow="fold")
    for point in cell.operating_points:
        table.add_row(
            point.name,
            f"{point.value:.3f}",
            str(point.units),
            percent(point.validation_acc),
            percent(point.acc),
            percent(point.asr),
            percent(point.rc),
        )
    return table


def _shares(metrics: Metrics, _: dict[str, Any]) -> tuple[str, str, str, str]:
    return percent(metrics.acc), percent(metrics.asr), percent(metrics.rc), percent(metrics.der)


def _counted(metrics: Metrics, counts: dict[str, Any]) -> tuple[str, str, str, str]:
    clean, triggered = counts["clean"], counts["triggered"]
    return (
        f"{percent(metrics.acc)} ({counts['clean_hits']}/{clean})",
        "-"
        if metrics.asr is None
        else f"{percent(metrics.asr)} ({counts['attack_hits']}/{triggered})",
        "-" if metrics.rc is None else f"{percent(metrics.rc)} ({counts['true_hits']}/{triggered})",
        percent(metrics.der),
    )


def unmeasured(attack: AttackResult) -> list[str]:
    """Return a sentence for each metric that cannot be measured for this result, with the
    reason.
    """
    missing = []
    if not len(attack.triggered):
        missing.append("ASR, RC and DER cannot be measured: there are no triggered images")
    elif not attack.triggered.is_true_known:
        missing.append("RC cannot be measured: of the triggered images nobody said what they show")
    if attack.manifest.family == MODEL_ONLY:
        missing.append(
            "the poisoned training set is not known: data filters and robust training do not apply"
        )
    return missing


def detection_line(cell: Cell) -> str | None:
    """Return the findings of a detector in one line: the classes of a model that it flags, or the
    number of inputs or training samples. It is None for a cell without such figures.
    """
    found = cell.detection or {}
    if isinstance(found.get("flagged_classes"), list):
        return f"{cell.cell.defense.name}: {_model_verdict(found)}"
    if not isinstance(found.get("fpr"), float):
        return None
    bad, what = (
        ("triggered", "test images") if "threshold" in found else ("poisoned", "training images")
    )
    caught = (
        f" and {percent(found['tpr'])} % of the {bad}"
        if isinstance(found.get("tpr"), float)
        else ""
    )
    auroc = f", AUROC {found['auroc']:.3f}" if isinstance(found.get("auroc"), float) else ""
    return (
        f"{cell.cell.defense.name} flags {percent(found['fpr'])} % of the clean{caught} "
        f"{what}{auroc}"
    )


def _model_verdict(found: dict[str, Any]) -> str:
    """Return the verdict of a model detector, with the scores on which it rests."""
    scores, flagged = found["scores"], found["flagged_classes"]
    others = [score for label, score in enumerate(scores) if label not in flagged]
    if not flagged:
        return f"nothing found: no class is flagged, the highest score is {max(scores):.2f}"
    named = ", ".join(f"class {label} (score {scores[label]:.2f})" for label in flagged)
    highest = f"; the highest score of the others is {max(others):.2f}" if others else ""
    attacked = found.get("attacked_classes")
    missed = attacked and not set(attacked) & set(flagged)
    return f"backdoored: {named}{'; this is not what is attacked' if missed else ''}{highest}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s"
