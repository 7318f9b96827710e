"""`benchbd matrix`: run all cells of a protocol that are missing."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from benchbd.cli.declared import add_options, given_options
from benchbd.matrices.options import MatrixOptions

if TYPE_CHECKING:
    from benchbd.analysis.analysis import Analysis


@click.command()
@add_options(MatrixOptions)
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help='Print one object {"cells": [...]}: what was done, or what would be.',
)
def command(dry_run: bool, as_json: bool, **options: Any) -> None:
    """Run all cells of PROTOCOL (a name or a YAML file) that are not stored yet.

    One attacked model serves all defenses of its seed. A cell that fails is a row with its reason
    and stops nothing else. The same command goes on where it was interrupted.
    """
    from benchbd.cli.matrix_view import LiveView, print_broken, print_plan, print_summary
    from benchbd.executing.executor import executor_named
    from benchbd.matrices.opening import open_matrix, open_plan, open_session

    asked = MatrixOptions(**given_options(options))
    if dry_run:
        # report a wrong option of the executor as the run would
        executor_named(asked.executor, asked.executor_settings())
        with open_plan(asked) as listed:
            print_plan(listed, as_json)
        return
    analyses = _analyses(asked)  # a wrong name is refused before anything runs
    with open_matrix(asked) as matrix:
        print_broken(matrix)
        with LiveView() as view, open_session(matrix, asked) as session:
            matrix.run(session, view.update, asked.fail_fast)
    if analyses:
        from benchbd.matrices.findings import analyze_matrix

        for path in analyze_matrix(matrix, analyses, _say):
            click.echo(f"written: {path}", err=True)
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


def _analyses(asked: MatrixOptions) -> Sequence[Analysis]:
    if not asked.analyze:
        return ()
    from benchbd.running.analyzing import chosen_analyses

    return chosen_analyses(asked.analyze, {})


def _say(line: str, always: bool = False) -> None:
    """Show a line beside what the command prints."""
    click.echo(line, err=True)
