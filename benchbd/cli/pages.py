"""`benchbd pages`: a page of documentation for every plugin, from its class and its
catalogue card.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from benchbd.plugin.entry import BUNDLED_PROVIDER


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--provider",
    default=BUNDLED_PROVIDER,
    show_default=True,
    help="The package whose plugins get pages.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Write nothing; fail if a page in FOLDER is not what would be written.",
)
def command(folder: Path, provider: str, check: bool) -> None:
    """Write a Markdown page for each plugin of a package to FOLDER, and an index."""
    from benchbd.plugin.page import pages

    wanted = {folder / name: text for name, text in pages(provider).items()}
    there = set(folder.glob("*.md")) | set(folder.glob("*/*.md"))
    differing = [
        path
        for path, text in wanted.items()
        if path not in there or path.read_text(encoding="utf-8") != text
    ]
    needless = sorted(there - set(wanted))
    if check:
        for path in (*differing, *needless):
            click.echo(f"{path} is out of date", err=True)
        sys.exit(1 if differing or needless else 0)
    from benchbd.record.files import write_text

    for path in differing:
        write_text(path, wanted[path])
    for path in needless:
        path.unlink()
    click.echo(
        f"{len(wanted)} pages in {folder}; {len(differing)} written, {len(needless)} removed"
    )
