"""`benchbd verify`: check result files."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import click

from benchbd.cli.places import at_option


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--note",
    type=click.Path(path_type=Path),
    help="Note what was recomputed in this file, for the leaderboard.",
)
@at_option
def command(paths: tuple[Path, ...], note: Path | None, places: dict[str, Path]) -> None:
    """Check result files, or all in a folder: schema, key, place, digests, plugins, oracle flags,
    baselines, doubts, and metrics recomputed from the stored predictions and the labels of the data
    set; and the share of clean images that are taken for the attacked label, which can make an ASR
    doubtful. Data are read from the standard folder (BENCHBD_DATA), and nothing is fetched. Returns
    5 when a file has a fault.
    """
    from benchbd.audit.verify import verify
    from benchbd.leaderboard.board.text import one_line
    from benchbd.leaderboard.board.trust import add_notes

    found = verify(paths, places)
    for each in found:
        for fault in each.faults:
            click.echo(f"{click.style('fault', fg='red')} {one_line(each.path)}: {one_line(fault)}")
        if not each.faults and each.obstacle:
            click.echo(f"{each.level} {one_line(each.path)}: {one_line(each.obstacle)}")
        if doubt := each.doubt():
            click.echo(f"doubtful {one_line(each.path)}: {one_line(doubt)}")
    counts = Counter("with faults" if each.faults else each.level for each in found)
    click.echo(
        ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
        or "no result file there"
    )
    if note is not None:
        click.echo(
            f"noted: {add_notes(note, dict(told for each in found if (told := each.note())))}"
        )
    sys.exit(5 if any(each.faults for each in found) else 0)
