"""`benchbd sweep`: ACC, ASR and RC along one axis."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchbd.cli.declared import add_options, given_options
from benchbd.matrices.options import SweepOptions

if TYPE_CHECKING:
    from rich.table import Table

    from benchbd.leaderboard.board.interval import Summary
    from benchbd.leaderboard.board.sweep_curves import SweepCurve
    from benchbd.matrices.sweep import Axis
    from benchbd.record.cell import Cell
    from benchbd.running.protocol import Protocol


@click.command()
@add_options(SweepOptions)
@click.option("--dry-run", is_flag=True, help="Show the plan of each value and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(dry_run: bool, as_json: bool, **options: Any) -> None:
    """Run attacks and defenses of PROTOCOL at each value of one axis, the rest kept.

    Axes: poison_ratio, clean_images (a number, not a share), model, target, attack.PARAM,
    defense.PARAM. Runs like a matrix: the same command goes on where it was interrupted. Values of
    an axis are never ranked against one another.
    """
    from benchbd.leaderboard.board.sweep_curves import sweep_curves
    from benchbd.matrices.sweep import Axis

    asked = SweepOptions(**given_options(options))
    axis = Axis.parse(asked.over)
    protocols = _protocols(asked, axis)
    if dry_run:
        _show_plans(asked, axis, protocols)
        return
    cells = list(_run(asked, axis, protocols))
    curves = sweep_curves(axis.values, cells, axis.numbers)
    if as_json:
        click.echo(json.dumps({"axis": axis.name, "curves": [_json(curve) for curve in curves]}))
    else:
        _show(axis, curves, asked.results)
    sys.exit(_tell_failures(axis, cells))


def _protocols(asked: SweepOptions, axis: Axis) -> list[Protocol]:
    """Return the protocol at each value. Raises `ConfigError` for a value that does not fit."""
    from benchbd.matrices.plan import Selection
    from benchbd.running.protocol import load_protocol

    base = load_protocol(asked.protocol)
    chosen = Selection(asked.attacks, asked.defenses, asked.seeds)
    seeds = {"seeds": asked.seeds or base.seeds}
    return [each.model_copy(update=seeds) for each in axis.protocols(base, chosen)]


def _show_plans(asked: SweepOptions, axis: Axis, protocols: Sequence[Protocol]) -> None:
    from benchbd.cli.matrix_view import print_plan
    from benchbd.matrices.planned_matrix import PlannedMatrix

    for value, protocol in zip(axis.values, protocols, strict=True):
        click.echo(f"{axis.name} = {value}")
        print_plan(PlannedMatrix(protocol, results=asked.results), False)


def _run(asked: SweepOptions, axis: Axis, protocols: Sequence[Protocol]) -> Iterator[list[Cell]]:
    """Run the matrix of each value, and yield its cells."""
    from benchbd.cli.matrix_view import LiveView
    from benchbd.executing.executor import open_executor
    from benchbd.matrices.matrix import Matrix

    for value, protocol in zip(axis.values, protocols, strict=True):
        click.echo(f"{axis.name} = {value}", err=True)
        matrix = Matrix(protocol, results=asked.results, device=asked.device)
        with (
            LiveView() as view,
            open_executor(asked.executor, {}, matrix.limits(None, None)) as session,
        ):
            matrix.run(session, view.update)
        yield matrix.cells()


def _tell_failures(axis: Axis, cells: Sequence[Sequence[Cell]]) -> int:
    """Say why values have no numbers, and return the exit code: 1 where a cell failed."""
    failed = 0
    for value, group in zip(axis.values, cells, strict=True):
        for cell in group:
            if cell.status.code != "ok":
                about, status = cell.cell, cell.status
                what = f"{about.attack.label}, {about.defense.label}, seed {about.seed}"
                told = f"{axis.name} = {value}, {what}: {status.code}, {status.reason}"
                click.echo(told, err=True)
                failed |= status.code != "n/a"
    return int(failed)


def _json(curve: SweepCurve) -> dict[str, Any]:
    return asdict(curve) | {"area_under_asr": curve.area(), "breaks_at": curve.breaks_at()}


def _show(axis: Axis, curves: Sequence[SweepCurve], results: Path) -> None:
    from rich.console import Console

    from benchbd.record.csv_table import csv_table
    from benchbd.record.files import write_text
    from benchbd.report.sweep import draw_sweep

    console = Console(width=None if sys.stdout.isatty() else 110, highlight=False)
    console.print(_table(axis, curves))
    name = axis.name.replace(".", "_")
    rows = [row for curve in curves for row in _rows(axis, curve)]
    click.echo(f"written: {write_text(results / f'{name}.csv', csv_table(rows))}")
    click.echo(f"written: {draw_sweep(axis.name, curves, results / f'{name}.png')}")


def _table(axis: Axis, curves: Sequence[SweepCurve]) -> Table:
    from rich.table import Table

    from benchbd.measure.shares import percent

    table = Table(title=f"along {axis.name}", title_justify="left", header_style="bold")
    for heading in ("attack", "defense", axis.name, "ACC %", "ASR %", "RC %", "area", "breaks at"):
        left = heading in ("attack", "defense")
        table.add_column(heading, justify="left" if left else "right")
    for curve in curves:
        for place, point in enumerate(curve.points):
            first = place == 0
            names = (curve.attack, curve.defense) if first else ("", "")
            ends = (percent(curve.area()), curve.breaks_at() or "holds") if first else ("", "")
            shares = (_mean(point.acc), _mean(point.asr), _mean(point.rc))
            last = point is curve.points[-1]
            table.add_row(*names, point.value, *shares, *ends, end_section=last)
    return table


def _mean(summary: Summary | None) -> str:
    from benchbd.measure.shares import percent

    return percent(None if summary is None else summary.mean)


def _rows(axis: Axis, curve: SweepCurve) -> Iterator[dict[str, Any]]:
    for point in curve.points:
        row: dict[str, Any] = {"attack": curve.attack, "defense": curve.defense}
        row[axis.name] = point.value
        for metric in ("acc", "asr", "rc"):
            found: Summary | None = getattr(point, metric)
            row |= {
                metric: "" if found is None else found.mean,
                f"{metric}_low": "" if found is None or found.low is None else found.low,
                f"{metric}_high": "" if found is None or found.high is None else found.high,
            }
        yield row | {"seeds": 0 if point.acc is None else len(point.acc.values)}
