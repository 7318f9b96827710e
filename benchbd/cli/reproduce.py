"""`benchbd reproduce`: run one cell again and report the difference."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchbd.record.cells import RESULTS

if TYPE_CHECKING:
    from benchbd.audit.reproduce import Reproduction


@click.command()
@click.argument("key")
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    help=f"Folder of the results.  [default: {RESULTS}]",
)
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="cpu, cuda, ...; auto takes a GPU if there is one.",
)
@click.option(
    "--tolerance",
    type=float,
    default=0.01,
    show_default=True,
    help="Difference of a share that still counts as the same.",
)
@click.option(
    "--note",
    type=click.Path(path_type=Path),
    help="Note a success in this file, for the leaderboard.",
)
def command(
    key: str, results: Path | None, device: str, tolerance: float, note: Path | None
) -> None:
    """Run the cell KEY (the first digits of its key, or its file) again, attack and defense, in a
    temporary folder.

    Prints each metric as stored and as made here, and of how many images the predictions differ.
    Returns 0 when ACC, ASR and RC agree within the tolerance, else 1.
    """
    from benchbd.audit.reproduce import find_result, reproduce
    from benchbd.cli.watching import Watching
    from benchbd.engine.progress import reporting
    from benchbd.leaderboard.board.trust import add_notes

    path = find_result(key, results or RESULTS)
    with (
        tempfile.TemporaryDirectory() as folder,
        Watching() as watching,
        reporting(watching.stage_progress),
    ):
        found = reproduce(path, Path(folder), device)
    _show(found)
    same = found.difference() <= tolerance
    click.echo(
        _verdict(found, tolerance)
        if same
        else f"not reproduced: ACC, ASR or RC differs by more than {tolerance:g}"
    )
    if same and note is not None:
        click.echo(f"noted: {add_notes(note, {found.stored.key: found.note()})}")
    sys.exit(0 if same else 1)


def _show(found: Reproduction) -> None:
    from benchbd.measure.shares import percent

    about = found.stored.cell
    click.echo(
        f"{about.attack.name}, {about.defense.name} on {about.dataset.name}, {about.model.name}, "
        f"seed {about.seed}"
    )
    click.echo(f"stored on {found.stored.cost.device} ({found.stored.cost.precision}), ", nl=False)
    click.echo(f"made here on {found.here.cost.device} ({found.here.cost.precision})")
    for name, (stored, here) in found.metrics().items():
        difference = "" if stored is None or here is None else f"  {100 * (here - stored):+.2f}"
        click.echo(f"  {name.upper()}  {percent(stored):>6}  {percent(here):>6}{difference}")
    for what, differing, total in _differing(found):
        click.echo(f"  predictions that differ: {differing} of {total} {what} images")


def _verdict(found: Reproduction, tolerance: float) -> str:
    """Of a result whose shares agree."""
    differing = sum(count for _, count, _ in _differing(found))
    if not differing:
        return "reproduced"
    total = sum(images for _, _, images in _differing(found))
    return (
        f"reproduced within {tolerance:g}, not bit for bit: {differing} of {total} predictions "
        "differ"
    )


def _differing(found: Reproduction) -> list[tuple[str, int, int]]:
    counts = found.stored.counts
    if counts is None or found.differing_clean is None or found.differing_triggered is None:
        return []
    return [
        ("clean", found.differing_clean, counts.clean),
        ("triggered", found.differing_triggered, counts.triggered),
    ]
