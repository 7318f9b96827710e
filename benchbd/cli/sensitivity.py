"""`benchbd sensitivity`: how much the results of a defense depend on its hyper-parameters."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchbd.cli.declared import add_options, given_options
from benchbd.matrices.options import SensitivityOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchbd.matrices.sensitivity import Stability
    from benchbd.plugin.plugin import Plugin
    from benchbd.record.cell import Cell
    from benchbd.running.protocol import Protocol


@click.command()
@add_options(SensitivityOptions)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool, **options: Any) -> None:
    """Vary each hyper-parameter of a defense over its declared range, the others kept, and score
    how much it matters.

    The score is the mean absolute change of ACC and ASR in points, over the attacks and seeds. Runs
    like a matrix: the same command goes on where it was interrupted.
    """
    from benchbd.cli.matrix_view import LiveView
    from benchbd.executing.executor import open_executor
    from benchbd.matrices.matrix import Matrix
    from benchbd.matrices.sensitivity import stabilities, study
    from benchbd.plugin.registry import create
    from benchbd.running.protocol import load_protocol

    asked = SensitivityOptions(**given_options(options))
    base, name = load_protocol(asked.protocol), asked.defense.removeprefix("defense.")
    attacks = asked.attacks or (_first_attack(base),)
    studied = study(base, attacks, name)
    studied = studied.model_copy(update={"seeds": asked.seeds})
    matrix = Matrix(studied, results=asked.results)
    limits = matrix.limits(None, None)
    with LiveView() as view, open_executor(asked.executor, {}, limits) as session:
        matrix.run(session, view.update)
    defense = create("defense", name, base.params_of("defense", name))
    found = stabilities(matrix.cells(), defense)
    if asked.note:
        _note(asked.note, matrix.cells(), defense, found)
    if as_json:
        from dataclasses import asdict

        click.echo(json.dumps({"defense": name, "parameters": [asdict(each) for each in found]}))
        return
    _show(name, ", ".join(attacks), found, asked.results)


def _first_attack(protocol: Protocol) -> str:
    from benchbd.errors import ConfigError
    from benchbd.plugin.registry import create

    for choice in protocol.attacks:
        if getattr(create("attack", choice.name, choice.params), "poison_ratio", 0):
            return choice.name
    raise ConfigError(f"{protocol.name} has no attack that poisons; name one with --attack")


def _note(path: Path, cells: Sequence[Cell], defense: Plugin, found: list[Stability]) -> None:
    """Add the scores to a board's notes on sensitivity."""
    from benchbd.leaderboard.board.sensitivity import add_studies, study_of
    from benchbd.record.plugin_record import PluginRecord

    mine = PluginRecord.of(defense).identity()
    own = next(cell for cell in cells if cell.cell.defense.identity() == mine)
    scores = {each.parameter: each.score for each in found if each.score is not None}
    click.echo(f"noted: {add_studies(path, study_of(cells, own, scores))}", err=True)


def _show(name: str, attacks: str, found: list[Stability], results: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from benchbd.measure.shares import percent
    from benchbd.report.sensitivity import draw_sensitivity

    table = Table(title=f"{name} against {attacks}", title_justify="left", header_style="bold")
    for heading in ("parameter", "score", "value", "ACC %", "ASR %", "cells"):
        table.add_column(heading, justify="left" if heading == "parameter" else "right")
    for each in found:
        for place, point in enumerate(each.points):
            value = f"{point.value} (own)" if point.value == each.own else str(point.value)
            head = (each.parameter, percent(each.score)) if not place else ("", "")
            table.add_row(
                *head,
                value,
                percent(point.acc),
                percent(point.asr),
                str(point.measured),
                end_section=point is each.points[-1],
            )
    Console(width=None if sys.stdout.isatty() else 100).print(table)
    path = draw_sensitivity(
        f"{name} against {attacks}: score and course of each parameter",
        found,
        results / f"{Path(name).stem}.png",
    )
    click.echo(f"written: {path}")
