"""`benchbd run`: attack a model, defend it, measure both."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchbd.cli.declared import declared, given
from benchbd.running.options import RunOptions

if TYPE_CHECKING:
    from benchbd.running.run import Prepared, Run


@click.command()
@declared(RunOptions)
@click.option("--config", type=click.Path(path_type=Path), help="YAML file of these options.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help='Print one object {"cells": [...]} on stdout; progress goes to stderr.',
)
def command(as_json: bool, config: Path | None, **options: Any) -> None:
    """Attack a model, defend it, and measure ACC, ASR and RC before and after.

    An attack result that is already stored is used again. Several defenses share one attack result.
    """
    from benchbd.cli.watching import Watching
    from benchbd.plugin.hooks import Observers
    from benchbd.running.run import execute, prepare

    prepared = prepare(_asked(config, options))
    observers = Observers.installed()
    with Watching() as watching:
        observers.add(watching)
        if about := _to_attack(prepared):
            watching.say(about)
        run = execute(prepared, observers)
    if as_json:
        click.echo(json.dumps({"cells": [cell.to_json() for cell in run.cells]}))
    else:
        _show(run, watching.files)
    for complaint in observers.complaints():
        click.echo(complaint, err=True)
    sys.exit(_exit_code(run))


def _to_attack(prepared: Prepared) -> str:
    """What will be attacked, in one line; empty where the attack result is there."""
    from benchbd.record.attack_files import ATTACK_FILE

    job = prepared.job
    if job is None or (prepared.folder / ATTACK_FILE).is_file():
        return ""
    made_of = job.ingredients
    plugins = f"{made_of.attack.name} on {made_of.dataset.name}, {made_of.model.name}"
    return f"{plugins}, seed {job.seed}: attacking"


def _asked(config: Path | None, options: dict[str, Any]) -> RunOptions:
    """What was asked for: the command line over the file over the protocol."""
    told = given(options)
    stored = RunOptions.from_file(config).given() if config else {}
    settings = stored.get("settings", {}) | told.get("settings", {})
    return RunOptions(**stored | told | {"settings": settings})


def _show(run: Run, files: list[str]) -> None:
    from rich.console import Console

    from benchbd.report.table import (
        cells_table,
        curve_table,
        detection_line,
        failure,
        header,
        unmeasured,
    )

    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    console.print(header(run.attack, run.reused))
    console.print(cells_table(run.attack, run.cells, console.width))
    for missing in unmeasured(run.attack):
        console.print(missing, markup=False)
    for cell in run.cells:
        if line := detection_line(cell):
            console.print(line, markup=False)
        if cell.operating_points:
            console.print(curve_table(cell))
        for doubt in cell.doubts:
            console.print(
                f"doubtful, {cell.cell.defense.name}: {doubt}", style="yellow", markup=False
            )
        if why := failure(cell):
            console.print(why, markup=False)
            console.print(cell.status.traceback, markup=False)
    console.print("written:")
    for file in files:
        console.print(f"  {file}", markup=False)


def _exit_code(run: Run) -> int:
    codes = {cell.status.code for cell in run.cells}
    if codes <= {"ok", "n/a"}:
        return 0
    return 6 if codes <= {"ok", "n/a", "diverged"} else 1
