"""`benchbd plan`: what a matrix would do, without doing it."""

from __future__ import annotations

import json
from typing import Any

import click

from benchbd.cli.matrix import selected, selecting


@click.command()
@selecting
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list, an object per cell.")
def command(as_json: bool, **options: Any) -> None:
    """Show which cells of PROTOCOL would run, which are used again, which are stale, which do not apply, and how long it takes."""
    matrix = selected(options)
    if as_json:
        click.echo(
            json.dumps(
                [
                    {"key": s.planned.key, "result": s.planned.result_name, "state": s.state, "reason": s.reason}
                    for s in matrix.standings
                ]
            )
        )
        return
    from benchbd.cli.matrix_view import print_plan

    print_plan(matrix)
