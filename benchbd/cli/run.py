"""`benchbd run`: attack a model, defend it, measure both."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from benchbd.running.run import Request, Run


@click.command()
@click.option("--attack", help="Attack to run; `benchbd list attacks` shows all.")
@click.option("--defense", "defenses", multiple=True, help="Defense to run; may be given several times.")
@click.option("--model", help="Architecture of the victim; default: the protocol's.")
@click.option("--dataset", help="Data set; default: the protocol's.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=None, help="Seed of every random draw.  [default: 0]")
@click.option("--device", help="cpu, cuda, cuda:1, ...; auto takes a GPU if there is one.  [default: auto]")
@click.option("--set", "settings", multiple=True, metavar="KIND.PARAM=VALUE", help="Set a parameter, such as defense.anp_eps=0.2.")
@click.option("--protocol", help="Where everything comes from that is not given.  [default: digits-quick]")
@click.option("--config", type=click.Path(path_type=Path), help="YAML file of these options.")
@click.option("--name", help="Folder of the result under record/; default: made from what is run.")
@click.option("--result-file", help="Defend this stored attack result instead: a path, or a name under record/.")
@click.option("--json", "as_json", is_flag=True, help='Print one object {"cells": [...]} on stdout; progress goes to stderr.')
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
        run = execute(prepared, observers)
    if as_json:
        click.echo(json.dumps({"cells": [cell.to_json() for cell in run.cells]}))
    else:
        _show(run, watching.files)
    for complaint in observers.complaints():
        click.echo(complaint, err=True)
    sys.exit(_exit_code(run))


def _request(config: Path | None, options: dict[str, Any]) -> Request:
    """What was asked for: the command line over the file over the protocol."""
    from benchbd.running.config import read_config
    from benchbd.running.protocol import load_protocol
    from benchbd.running.run import Request

    told = {name: value for name, value in options.items() if value not in (None, ())}
    settings = dict(_setting(text) for text in told.pop("settings", ()))
    stored = read_config(config) if config else {}
    settings = stored.pop("settings", {}) | settings
    wanted = stored | told
    return Request(
        protocol=load_protocol(wanted.pop("protocol", "digits-quick")),
        defenses=wanted.pop("defenses", ("none",)),
        settings=settings,
        **wanted,
    )


def _setting(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise click.BadParameter(f"expected KIND.PARAM=VALUE, got {text!r}", param_hint="--set")
    return name.strip(), value.strip()


def _show(run: Run, files: list[str]) -> None:
    from rich.console import Console

    from benchbd.report.table import cells_table, curve_table, detection_line, header, unmeasured

    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    console.print(header(run.attack, run.reused))
    console.print(cells_table(run.attack, run.cells))
    for missing in unmeasured(run.attack):
        console.print(missing, markup=False)
    for cell in run.cells:
        if line := detection_line(cell):
            console.print(line, markup=False)
        if cell.operating_points:
            console.print(curve_table(cell))
        for doubt in cell.doubts:
            console.print(f"doubtful, {cell.cell.defense.name}: {doubt}", style="yellow", markup=False)
        if cell.status.code != "ok":
            console.print(f"{cell.cell.defense.name}: {cell.status.code}: {cell.status.reason}", markup=False)
            console.print(cell.status.traceback, markup=False)
    console.print("written:")
    for file in files:
        console.print(f"  {file}", markup=False)


def _exit_code(run: Run) -> int:
    codes = {cell.status.code for cell in run.cells}
    if codes <= {"ok", "n/a"}:
        return 0
    return 6 if codes <= {"ok", "n/a", "diverged"} else 1
