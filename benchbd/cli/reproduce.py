"""`benchbd reproduce`: it runs one cell again, or a random sample of cells, and reports the
difference.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchbd.cli.places import at_option
from benchbd.cli.seed import SEED
from benchbd.errors import BenchbdError
from benchbd.leaderboard.board.text import one_line
from benchbd.record.cells import RESULTS_FOLDER

if TYPE_CHECKING:
    from benchbd.audit.reproduce import Reproduction
    from benchbd.record.cell import Cell


@click.command()
@click.argument("key", required=False)
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    help=f"Folder of the results.  [default: {RESULTS_FOLDER}]",
)
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    help="Instead of KEY: so many results that ended well, by lot.",
)
@click.option(
    "--seed", type=SEED, help="Of the lot, to draw the same again.  [default: drawn, and printed]"
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
    help="Share by which the interval is widened that another kind of processor is judged by.",
)
@click.option(
    "--note",
    type=click.Path(path_type=Path),
    help="Note a success in this file, for the leaderboard.",
)
@at_option
def command(
    key: str | None,
    results: Path | None,
    sample: int | None,
    seed: int | None,
    device: str,
    tolerance: float,
    note: Path | None,
    places: dict[str, Path],
) -> None:
    """Run the cell KEY (the first digits of its key, or its file) again, attack and defense, in a
    temporary folder; or a sample of cells.

    Prints each metric as stored and as made here, and of how many images the predictions differ.
    On the kind of processor that the cell was made on, no prediction may differ; on another, ACC,
    ASR and RC must lie in the 95 % prediction interval of the stored seeds. Returns 0 when all
    cells that were run agree so, else 1.
    """
    if (key is None) == (sample is None):
        raise click.UsageError("expected either KEY or --sample")
    paths = _chosen(key, sample, seed, results or RESULTS_FOLDER)
    again = Repetition(device, tolerance, note, places)
    if key is not None:
        sys.exit(0 if again.run(paths[0]) else 1)
    same = [_of_sample(again, path) for path in paths]
    click.echo(f"{sum(same)} of {len(same)} reproduced")
    sys.exit(0 if all(same) else 1)


def _chosen(key: str | None, sample: int | None, seed: int | None, results: Path) -> list[Path]:
    from benchbd.audit.reproduce import draw, find_result

    if key is not None:
        return [find_result(key, results)]
    assert sample is not None
    drawn = secrets.randbelow(2**32) if seed is None else seed
    click.echo(f"a sample of {sample} drawn with the seed {drawn}")
    return draw(results, sample, drawn)


def _of_sample(again: Repetition, path: Path) -> bool:
    """Return whether the cell was reproduced. A cell that cannot be run was not, and the others are
    still run.
    """
    click.echo(f"\n{one_line(path)}")
    try:
        return again.run(path)
    except BenchbdError as error:
        click.echo(f"not reproduced: {one_line(error)}")
        return False


@dataclass(frozen=True)
class Repetition:
    """How cells are run again, what counts as the same, and where a success is noted."""

    device: str
    tolerance: float
    note: Path | None
    places: dict[str, Path]

    def run(self, path: Path) -> bool:
        """Run the cell again, print and note the outcome, and return whether it is the same."""
        from benchbd.leaderboard.board.trust import add_notes

        found = self._made(path)
        _show(found)
        agreement = found.agreement(self.tolerance)
        click.echo(agreement.verdict)
        if agreement.agrees and self.note is not None:
            note = found.note(agreement)
            click.echo(f"noted: {add_notes(self.note, {found.stored.key: note})}")
        return agreement.agrees

    def _made(self, path: Path) -> Reproduction:
        from benchbd.audit.reproduce import reproduce
        from benchbd.cli.watching import ProgressView
        from benchbd.engine.progress import report_progress

        with (
            tempfile.TemporaryDirectory() as folder,
            ProgressView() as watching,
            report_progress(watching.stage_progress),
        ):
            return reproduce(path, Path(folder), self.device, self.places)


def _show(found: Reproduction) -> None:
    from benchbd.measure.shares import percent

    about = found.stored.cell
    click.echo(
        f"{about.attack.name}, {about.defense.name} on {about.dataset.name}, {about.model.label}, "
        f"seed {about.seed}"
    )
    for when, cell in (("stored", found.stored), ("here", found.here)):
        click.echo(f"  {when}: {one_line(_machine(cell))}")
    for name, (stored, here) in found.metrics().items():
        difference = "" if stored is None or here is None else f"  {100 * (here - stored):+.2f}"
        click.echo(f"  {name.upper()}  {percent(stored):>6}  {percent(here):>6}{difference}")
    for what, differing, total in _differing(found):
        click.echo(f"  predictions that differ: {differing} of {total} {what} images")


def _machine(cell: Cell) -> str:
    """Where a cell was made, as far as it says."""
    noted = cell.provenance
    threads = f"threads: {noted['threads']}" if noted.get("threads") else ""
    processor = noted.get("processor") or "a processor that it does not name"
    words = (cell.cost.device, cell.cost.precision, processor, noted.get("instructions"), threads)
    return ", ".join(str(word) for word in words if word)


def _differing(found: Reproduction) -> list[tuple[str, int, int]]:
    counts = found.stored.counts
    if counts is None or found.differing_clean is None or found.differing_triggered is None:
        return []
    return [
        ("clean", found.differing_clean, counts.clean),
        ("triggered", found.differing_triggered, counts.triggered),
    ]
