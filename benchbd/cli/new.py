"""`benchbd new`: the start of a plugin."""

from __future__ import annotations

from pathlib import Path

import click

from benchbd.cli.kind import WordChoice
from benchbd.plugin.entry import KINDS


@click.command()
@click.argument("kind", type=WordChoice(KINDS))
@click.argument("name")
@click.option(
    "--package",
    "packaged",
    is_flag=True,
    help="Write a whole distribution, ready to be installed and published.",
)
def command(kind: str, name: str, packaged: bool) -> None:
    """Write NAME.py, a plugin of that KIND that works, and its test, into the current folder."""
    from benchbd.scaffold.write import write_package, write_plugin

    written = (write_package if packaged else write_plugin)(kind, name, Path())
    for path in written:
        click.echo(f"  {path}")
    if packaged:
        click.echo(
            f'next: cd {written[0].parent} && pip install -e ".[test]" && pytest && benchbd check '
            f"{kind}.{name}"
        )
    else:
        click.echo(f"next: benchbd check ./{name}.py && pytest test_{name}.py")
