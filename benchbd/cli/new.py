"""`benchbd new`: the start of a plugin."""

from __future__ import annotations

from pathlib import Path

import click

from benchbd.cli.kind import WordChoice
from benchbd.plugin.registry import is_file
from benchbd.scaffold.starts import FAMILIES, OBSERVER, STARTED_KINDS


@click.command()
@click.argument("kind", type=WordChoice(STARTED_KINDS))
@click.argument("name")
@click.option("--family", metavar="FAMILY", help=f"What it is handed, {FAMILIES}.")
@click.option(
    "--package",
    "packaged",
    is_flag=True,
    help="Write a whole distribution, ready to be installed and published. NAME may be a file that "
    "is there already, such as ./mine.py: the distribution gets a copy.",
)
def command(kind: str, name: str, family: str | None, packaged: bool) -> None:
    """Write NAME.py, a plugin of that KIND that works, and its test, into the current folder."""
    from benchbd.scaffold.wrap import wrap_file
    from benchbd.scaffold.write import write_package, write_plugin

    if is_file(name):
        if not packaged or family is not None:
            raise click.UsageError(
                f"{name} is a file, and says its family itself; `benchbd new {kind} {name} "
                "--package` writes a distribution around it"
            )
        written = wrap_file(kind, name, Path())
    else:
        written = (write_package if packaged else write_plugin)(kind, name, Path(), family)
    for path in written:
        click.echo(f"  {path}")
    click.echo(f"next: {_next(kind, written[0], packaged)}")


def _next(kind: str, first: Path, packaged: bool) -> str:
    """Return the commands that prove what was written. first: pyproject.toml of a distribution, or
    the plugin's file.
    """
    if packaged:
        proof = "benchbd plugins" if kind == OBSERVER else f"benchbd check {first.parent.name}"
        return f'cd {first.parent} && pip install -e ".[test]" && pytest && {proof}'
    proof = "" if kind == OBSERVER else f"benchbd check ./{first.name} && "
    return f"{proof}pytest test_{first.name}"
