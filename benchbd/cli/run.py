"""`benchbd run`: attack a model, defend it, measure both."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchbd.cli.declared import add_options, given_options
from benchbd.errors import DataNote
from benchbd.running.options import RunOptions

if TYPE_CHECKING:
    from benchbd.running.run import Run


@click.command()
@add_options(RunOptions)
@click.option(
    "--seeds",
    type=click.IntRange(1),
    metavar="N",
    help="The seeds from 0 to N-1, instead of one --seed after the other.",
)
@click.option("--config", type=click.Path(path_type=Path), help="YAML file of these options.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help='Print one object {"cells": [...]} on stdout; progress goes to stderr.',
)
@click.option("-q", "--quiet", is_flag=True, help="Print the table at the end, and nothing else.")
@click.option(
    "-v", "--verbose", is_flag=True, help="Print every step of progress, and tracebacks of errors."
)
def command(
    as_json: bool,
    quiet: bool,
    verbose: bool,
    seeds: int | None,
    config: Path | None,
    **options: Any,
) -> None:
    """Attack a model, defend it, and measure ACC, ASR and RC before and after.

    What is already stored is used again. Several defenses share one attack result; several attacks
    and seeds are attack results of their own, each with all the defenses.
    """
    if quiet and verbose:
        raise click.UsageError("-q and -v: expected one of them")
    asked = _options_of(config, options | _seeds_option(seeds, options))
    asked.require_start()  # before the libraries are imported that a run needs
    if quiet:
        warnings.simplefilter("ignore", DataNote)
    from benchbd.cli.run_view import show_run, show_table
    from benchbd.cli.watching import ProgressView
    from benchbd.plugin.hooks import Observers
    from benchbd.running.preparing import prepare
    from benchbd.running.run import execute

    prepared = prepare(asked)
    observers = Observers.from_packages()
    with ProgressView(silent=quiet, verbose=verbose) as watching:
        observers.add(watching)
        run = execute(prepared, observers, watching.say)
    if as_json:
        click.echo(json.dumps({"cells": [cell.to_json() for cell in run.cells]}))
    elif quiet:
        show_table(run)
    else:
        show_run(run, watching.files, verbose)
    for complaint in observers.complaints():
        click.echo(complaint, err=True)
    sys.exit(_exit_code(run))


def _seeds_option(seeds: int | None, options: dict[str, Any]) -> dict[str, Any]:
    """Return the option --seeds as the equivalent values of --seed."""
    if seeds is None:
        return {}
    if options["seed"]:
        raise click.UsageError("--seeds and --seed: expected one of them")
    return {"seed": tuple(range(seeds))}


def _options_of(config: Path | None, options: dict[str, Any]) -> RunOptions:
    """Return the options of the run: the command line takes precedence over the file, and the file
    over the protocol.
    """
    told = given_options(options)
    stored = RunOptions.from_file(config).given() if config else {}
    settings = stored.get("settings", {}) | told.get("settings", {})
    return RunOptions(**stored | told | {"settings": settings})


def _exit_code(run: Run) -> int:
    codes = {cell.status.code for cell in run.cells}
    if codes <= {"ok", "n/a"}:
        return 0
    return 6 if codes <= {"ok", "n/a", "diverged"} else 1
