"""`benchbd matrix`: run all cells of a protocol that are missing."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchbd.cli.seed import SEED
from benchbd.cli.settings import read_settings
from benchbd.matrices.rerun import RERUN

if TYPE_CHECKING:
    from benchbd.matrices.matrix import Matrix
    from benchbd.matrices.planned_matrix import PlannedMatrix

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

    if dry_run:
        # a slip is told as it would be in the run
        executor_named(options["executor"], _settings(options))
        with planned(options) as listed:
            print_plan(listed, as_json)
        return
    with _runnable(options) as matrix:
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


@contextmanager
def planned(options: dict[str, Any]) -> Iterator[PlannedMatrix]:
    """The plan of what the shared options describe. What the classes of plugins had to be asked is
    remembered beside the results.
    """
    from benchbd.matrices.known_plugins import known_plugins
    from benchbd.matrices.planned_matrix import PlannedMatrix

    chosen = _selected(options)
    with known_plugins(chosen["results"]) as known:
        yield PlannedMatrix(**chosen, resolve=known.recall)


@contextmanager
def _runnable(options: dict[str, Any]) -> Iterator[Matrix]:
    """The matrix that the shared options describe, with the observers that are installed. What the
    classes of its plugins say is remembered for a listing; a run always asks them.
    """
    from benchbd.matrices.known_plugins import known_plugins
    from benchbd.matrices.matrix import Matrix
    from benchbd.plugin.hooks import Observers

    chosen, observers = _selected(options), Observers.installed()
    with known_plugins(chosen["results"]) as known:
        yield Matrix(**chosen, resolve=known.learn, device=options["device"], observers=observers)


def _selected(options: dict[str, Any]) -> dict[str, Any]:
    """What the shared options say of a matrix."""
    from benchbd.matrices.plan import Selection
    from benchbd.matrices.planned_matrix import results_dir
    from benchbd.running.protocol import load_protocol

    return {
        "protocol": load_protocol(options["protocol"]),
        "selection": Selection(options["attacks"], options["defenses"], options["seeds"]),
        "rerun": frozenset(part for part in options["rerun"].split(",") if part),
        "results": options["results"] or results_dir(),
    }


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
