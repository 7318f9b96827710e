"""`benchbd inspect`: the content of a file, without running anything in it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from benchbd.importing.contents import FileContent, PickleContent

NAMES_SHOWN = 40


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--opcodes",
    "all_opcodes",
    is_flag=True,
    help="List every opcode of its pickles, as pickletools reads them.",
)
@click.option(
    "--all",
    "whole",
    is_flag=True,
    help=f"List everything that it holds, not only the first {NAMES_SHOWN}.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(file: Path, all_opcodes: bool, whole: bool, as_json: bool) -> None:
    """Tell what is in FILE: a result, a checkpoint or an archive. Nothing in it is run.

    Returns 5 when a pickle in it would import more than tensors and plain values, or when it cannot
    be read.
    """
    from benchbd.importing.contents import content_of, opcodes

    if all_opcodes:
        for line in opcodes(file):
            click.echo(_one_line(line))
        return
    content = content_of(file)
    if as_json:
        click.echo(json.dumps(content.to_json()))
    else:
        _tell(content, len(content.holds) if whole else NAMES_SHOWN)
    sys.exit(5 if content.suspicious or content.refusal or content.escaping else 0)


def _tell(content: FileContent, shown: int) -> None:
    click.echo(
        f"{_one_line(content.path)}: {content.kind}, {content.size:,} bytes, sha256 "
        f"{content.sha256[:16]}"
    )
    for pickle in content.pickles:
        _tell_pickle(pickle)
    for line in content.holds[:shown]:
        click.echo(f"  {_one_line(line)}")
    if len(content.holds) > shown:
        click.echo(f"  ... and {len(content.holds) - shown} more; --all lists them")
    for name in content.escaping:
        click.echo(
            f"{click.style('suspicious', fg='red')}: the name {_one_line(name)!r} leads out of "
            "the archive's folder"
        )
    if content.refusal:
        click.echo(f"{click.style('refused', fg='red')}: {_one_line(content.refusal)}")


def _tell_pickle(pickle: PickleContent) -> None:
    counted = ", ".join(f"{count} {name}" for name, count in list(pickle.opcodes.items())[:6])
    click.echo(
        f"pickle {_one_line(pickle.place)}: {sum(pickle.opcodes.values()):,} opcodes ({counted}, "
        "...)"
    )
    if pickle.damaged:
        click.echo(f"  damaged: {_one_line(pickle.damaged)}")
    for name in pickle.imports:
        mark = (
            click.style("suspicious import", fg="red") if name in pickle.suspicious else "imports"
        )
        click.echo(f"  {mark} {_one_line(name)}")


def _one_line(text: str) -> str:
    """Return a text from a stranger without the characters that control a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:400]
