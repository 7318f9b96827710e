"""`benchbd run`: attack a model, defend it, measure both."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchbd.cli.seed import SEED
from benchbd.cli.settings import read_settings

if TYPE_CHECKING:
    from benchbd.running.run import Prepared, Request, Run


def _only(context: click.Context, option: click.Parameter, values: tuple[Any, ...]) -> Any:
    """The one value of an option that takes one: of several the last would win, and nobody would
    hear of the others.
    """
    if len(values) > 1:
        given = ", ".join(map(str, values))
        raise click.BadParameter(
            f"expected one value, got {given}; `benchbd matrix` runs several", context, option
        )
    return values[0] if values else None


single = partial(click.option, multiple=True, callback=_only)


@click.command()
@single("--attack", help="Attack to run; `benchbd list attacks` shows all.")
@click.option(
    "--defense", "defenses", multiple=True, help="Defense to run; may be given several times."
)
@single("--model", help="Architecture of the victim; default: the protocol's.")
@single("--dataset", help="Data set; default: the protocol's.")
@single("--seed", type=SEED, help="Seed of every random draw.  [default: 0]")
@single(
    "--device", help="cpu, cuda, cuda:1, ...; auto takes a GPU if there is one.  [default: auto]"
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KIND.PARAM=VALUE",
    help="Set a parameter, such as defense.anp_eps=0.2; `benchbd info NAME` and `benchbd info "
    "recipe` show them.",
)
@single(
    "--protocol", help="Where everything comes from that is not given.  [default: digits-quick]"
)
@single("--config", type=click.Path(path_type=Path), help="YAML file of these options.")
@single("--name", help="Folder of the result under record/; default: made from what is run.")
@single(
    "--result-file",
    help="Defend this stored attack result instead: a path, or a name under record/.",
)
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

    prepared = prepare(_request(config, options))
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


def _request(config: Path | None, options: dict[str, Any]) -> Request:
    """What was asked for: the command line over the file over the protocol."""
    from benchbd.running.config import read_config
    from benchbd.running.protocol import load_protocol
    from benchbd.running.run import Request

    told = {name: value for name, value in options.items() if value not in (None, ())}
    settings = read_settings(told.pop("settings", ()))
    stored = read_config(config) if config else {}
    settings = stored.pop("settings", {}) | settings
    wanted = stored | told
    return Request(
        protocol=load_protocol(wanted.pop("protocol", "digits-quick")),
        defenses=wanted.pop("defenses", ("none",)),
        settings=settings,
        **wanted,
    )


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
