"""`benchbd matrix`: run all cells of a protocol that are missing."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchbd.cli.seed import SEED
from benchbd.cli.settings import read_settings
from benchbd.matrices.rerun import RERUN

if TYPE_CHECKING:
    from benchbd.matrices.matrix import Matrix

ABOVE_ZERO = click.FloatRange(min=0, min_open=True)


def selecting(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that choose a part of a protocol, shared by `matrix` and `plan`."""
    options = [
        click.argument("protocol"),
        click.option(
            "--attack",
            "attacks",
            multiple=True,
            help="Only this attack, the protocol's or another; may be repeated.",
        ),
        click.option(
            "--defense",
            "defenses",
            multiple=True,
            help="Only this defense, the protocol's or another; may be repeated.",
        ),
        click.option(
            "--seed", "seeds", multiple=True, type=SEED, help="Only this seed; may be repeated."
        ),
        click.option(
            "--rerun",
            default="",
            help=f"Also do again what ended so, separated by commas: {', '.join(RERUN)}.",
        ),
        click.option(
            "--results",
            type=click.Path(path_type=Path),
            help="Folder of the results.  [default: leaderboard/results]",
        ),
        click.option(
            "--device",
            default="auto",
            show_default=True,
            help="cpu, cuda, ...; auto takes a GPU if there is one.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@click.command()
@selecting
@click.option(
    "--executor",
    default="local",
    show_default=True,
    help="Where stages run; `benchbd list executors` shows all.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Stages at a time; default: as many as the machine carries.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="executor.PARAM=VALUE",
    help="Set a parameter of the executor.",
)
@click.option(
    "--time-limit",
    type=ABOVE_ZERO,
    help="Seconds that a stage may take; default: the protocol's, else none.",
)
@click.option("--memory-limit", type=ABOVE_ZERO, help="GiB that a stage may use; default: none.")
@click.option(
    "--reuse-worker",
    is_flag=True,
    help="Let a worker process run many stages: faster for tiny cells.",
)
@click.option("--fail-fast", is_flag=True, help="Start nothing more once a cell has failed.")
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help='Print one object {"cells": [...]}: what was done, or what would be.',
)
def command(dry_run: bool, as_json: bool, fail_fast: bool, **options: Any) -> None:
    """Run all cells of PROTOCOL (a name or a YAML file) that are not stored yet.

    One attacked model serves all defenses of its seed. A cell that fails is a row with its reason
    and stops nothing else. The same command goes on where it was interrupted.
    """
    from benchbd.cli.matrix_view import LiveView, print_broken, print_plan, print_summary
    from benchbd.executing.executor import executor_named

    matrix = selected(options, watched=not dry_run)
    if dry_run:
        executor_named(
            options["executor"], _settings(options)
        )  # a slip is told as it would be in the run
        print_plan(matrix, as_json)
        return
    print_broken(matrix)
    with LiveView() as view, _session(matrix, options) as session:
        matrix.run(session, view.update, fail_fast)
    for complaint in matrix.observers.complaints():
        click.echo(complaint, err=True)
    cells = matrix.cells()
    if as_json:
        click.echo(json.dumps({"cells": [cell.to_json() for cell in cells]}))
    else:
        print_summary(matrix, cells)
    sys.exit(
        0
        if len(cells) == len(matrix.standings)
        and all(c.status.code in ("ok", "n/a") for c in cells)
        else 1
    )


def selected(options: dict[str, Any], watched: bool = False) -> Matrix:
    """The matrix that the shared options describe, with the observers that are installed if it is
    to be watched.
    """
    from benchbd.matrices.matrix import Matrix, results_dir
    from benchbd.matrices.plan import Selection
    from benchbd.plugin.hooks import Observers
    from benchbd.running.protocol import load_protocol

    return Matrix(
        load_protocol(options["protocol"]),
        Selection(options["attacks"], options["defenses"], options["seeds"]),
        frozenset(part for part in options["rerun"].split(",") if part),
        results=options["results"] or results_dir(),
        device=options["device"],
        observers=Observers.installed() if watched else Observers(),
    )


def _session(matrix: Matrix, options: dict[str, Any]) -> Any:
    from benchbd.executing.executor import open_executor

    limits = matrix.limits(options["time_limit"], options["memory_limit"])
    return open_executor(options["executor"], _settings(options), limits)


def _settings(options: dict[str, Any]) -> dict[str, str]:
    """Of the executor. Raises `ConfigError`."""
    from benchbd.errors import ConfigError

    settings = read_settings(options["settings"])
    for name in settings:
        if not name.startswith("executor."):
            raise ConfigError(
                f"--set: expected executor.PARAM=VALUE, got {name!r}; parameters of plugins stand "
                "in the protocol"
            )
    if options["workers"]:
        settings["executor.workers"] = str(options["workers"])
    if options["reuse_worker"]:
        settings["executor.reuse"] = "true"
    return settings
