"""`benchbd plan`: what a matrix would do, without doing it."""

from __future__ import annotations

from typing import Any

import click

from benchbd.cli.declared import add_options, given_options
from benchbd.matrices.options import PlanOptions


@click.command()
@add_options(PlanOptions)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help='Print one object {"cells": [...], "seconds": ..., "unknown": {...}}.',
)
def command(as_json: bool, **options: Any) -> None:
    """Show which cells of PROTOCOL would run, which are used again, which are stale, which do not
    apply, and how long it takes.
    """
    from benchbd.cli.matrix_view import print_plan
    from benchbd.matrices.opening import open_plan

    with open_plan(PlanOptions(**given_options(options))) as matrix:
        print_plan(matrix, as_json)
