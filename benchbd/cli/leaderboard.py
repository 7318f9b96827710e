"""`benchbd leaderboard`: it builds tables and pages from the results, compares, shows and exports
them, and checks published numbers against them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchbd.cli.places import at_option
from benchbd.record.cells import RESULTS_FOLDER

if TYPE_CHECKING:
    from benchbd.leaderboard.board.contents import Board
    from benchbd.leaderboard.render.tables import TextTable

BOARD_FOLDER = Path("leaderboard")
LAST_VERSION = "last_version.json"


def results_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which results to read, which several commands share."""
    place = click.Path(path_type=Path)
    options = [
        click.option(
            "--results", type=place, help=f"Folder of the results.  [default: {RESULTS_FOLDER}]"
        ),
        click.option(
            "--trust",
            type=place,
            help="File of notes on what was checked.  [default: trust.json beside the results]",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@click.group()
def command() -> None:
    """Build the leaderboard from stored results; compare, show and export it."""


@command.command()
@results_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=BOARD_FOLDER,
    show_default=True,
    help="Folder of the board.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Write nothing; fail (1) if what lies there is not what the results give.",
)
def build(results: Path | None, trust: Path | None, out: Path, check: bool) -> None:
    """Write LEADERBOARD.md, index.html, leaderboard.csv and leaderboard.json. The same results give
    the same bytes.
    """
    from benchbd.leaderboard.render.files import out_of_date, publish

    board = _board(results, trust)
    if not check:
        for path in publish(board, out):
            click.echo(f"written: {path}")
        return
    stale = out_of_date(board, out)
    for path in stale:
        click.echo(f"out of date: {path}; `benchbd leaderboard build` makes it again", err=True)
    sys.exit(1 if stale else 0)


@command.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
def diff(before: Path, after: Path) -> None:
    """Print the cells that differ between two boards: leaderboard.json files, their folders, or
    folders of results.

    Returns 0 when nothing differs, 1 when something does.
    """
    from benchbd.leaderboard.render.changes import differences

    changes = differences(before, after)
    for change in changes:
        title, attack, defense, seed = change.place
        click.echo(f"{change.kind}: {title}, {attack}, {defense}, seed {seed}: {change.words}")
    if not changes:
        click.echo("no cell differs")
    sys.exit(1 if changes else 0)


@command.command()
@click.argument("name")
@click.option(
    "--board",
    type=click.Path(path_type=Path),
    default=BOARD_FOLDER,
    show_default=True,
    help="The leaderboard.json that comes out, or its folder.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=BOARD_FOLDER / LAST_VERSION,
    show_default=True,
    help="The file.",
)
def version(name: str, board: Path, out: Path) -> None:
    """Remember a board as the version NAME. From the next build on its page tells what is new since
    then.
    """
    from benchbd.leaderboard.render.changes import version_of
    from benchbd.record.files import write_json

    click.echo(f"written: {write_json(out, version_of(board, name).model_dump(mode='json'))}")


@command.command()
@results_options
@click.option(
    "--attack",
    "attacks",
    multiple=True,
    help="Every defense against this attack; may be given several times.",
)
def show(results: Path | None, trust: Path | None, attacks: tuple[str, ...]) -> None:
    """Print ranking, matrix and what has no numbers; with --attack the intervals and the cost
    against one attack.
    """
    from rich.console import Console

    from benchbd.leaderboard.render.tables import attack_tables, headline_tables, summary_line

    board = _board(results, trust)
    _require_attacks(board, attacks)
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    console.print(summary_line(board))
    for section in board.sections:
        details = zip(section.attacks, attack_tables(section), strict=True)
        chosen = (
            [t for facts, t in details if facts.label in attacks]
            if attacks
            else headline_tables(section)
        )
        if not chosen:
            continue
        console.rule(section.title, align="left")
        for table in chosen:
            console.print(_printed(table))


def _require_attacks(board: Board, attacks: tuple[str, ...]) -> None:
    """Raise `RecordError` for an attack that no table has."""
    from benchbd.errors import RecordError, nearest

    names = sorted({facts.label for section in board.sections for facts in section.attacks})
    for name in attacks:
        if name not in names:
            raise RecordError(
                "the board has no attack "
                f"{name!r}{nearest(name, names, 'it has ' + ', '.join(names))}"
            )


@command.command()
@results_options
@click.argument("first")
@click.argument("second")
def compare(first: str, second: str, results: Path | None, trust: Path | None) -> None:
    """Compare two defenses: over all attacks, and image by image against each attacked model
    (McNemar).

    The latter takes the data set's own labels; a table whose data set is not at hand says so.
    """
    from rich.console import Console

    from benchbd.audit.image_by_image import comparison, image_comparisons, sections_of
    from benchbd.errors import BenchbdError

    folder = results or BOARD_FOLDER / "results"
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    for section in sections_of(_board(results, trust), first, second):
        console.rule(section.title, align="left")
        found = comparison(section, first, second)
        if found is not None:
            words = (
                f"{found.better} before {found.worse} by {100 * found.difference:.1f} DER over "
                f"{found.attacks} attacks"
            )
            console.print(f"{words}: p {found.p:.3g}, corrected {found.adjusted:.3g}")
        try:
            found_by_image = list(image_comparisons(section, first, second, folder))
        except BenchbdError as error:  # the other tables can still be compared
            console.print(f"not compared image by image: {error}", markup=False)
        else:
            console.print(_printed(_duels(found_by_image, first, second)))


@command.command()
@results_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "md", "latex", "parquet", "json", "hub", "badges"]),
    required=True,
    help="Form.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="File to write, of hub and badges the folder; default: stdout.",
)
def export(results: Path | None, trust: Path | None, form: str, out: Path | None) -> None:
    """Write the board in one form: csv, parquet and json hold shares in [0, 1]; md and latex
    percent. Of hub (evaluations as YAML for model cards) and badges (SVG) there is a file for each
    defense.
    """
    from benchbd.leaderboard.render import csv_parquet as records
    from benchbd.leaderboard.render import json_document as document
    from benchbd.leaderboard.render import latex, markdown
    from benchbd.record.files import write_bytes

    renderers: dict[str, Callable[[Board], bytes]] = {
        "csv": lambda board: records.to_csv(board).encode(),
        "md": lambda board: markdown.to_markdown(board).encode(),
        "latex": lambda board: latex.to_latex(board).encode(),
        "parquet": records.to_parquet,
        "json": lambda board: document.to_json(board).encode(),
    }
    board = _board(results, trust)
    if form not in renderers:
        _export_methods(board, form, out)
    elif (content := renderers[form](board)) and out is None:
        click.echo(content, nl=False)
    elif out is not None:
        click.echo(f"written: {write_bytes(out, content)}")


def _export_methods(board: Board, form: str, out: Path | None) -> None:
    """Write a file for each defense into a folder."""
    from benchbd.leaderboard.render.badges import badges
    from benchbd.leaderboard.render.model_index import model_indices
    from benchbd.record.files import write_text

    if out is None:
        raise click.UsageError(f"--format {form} writes a file for each defense: name --out FOLDER")
    for name, content in (model_indices if form == "hub" else badges)(board).items():
        click.echo(f"written: {write_text(out / name, content)}")


@command.command()
@results_options
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="cpu, cuda, ...; auto takes a GPU if there is one.",
)
@at_option
def strips(results: Path | None, trust: Path | None, device: str, places: dict[str, Path]) -> None:
    """Make the strips of images that the board lacks: of results that came without one, and of
    attacks that have a new version.

    The trigger is made again, and the victim trained only where the trigger is learned with it.
    Returns 1 when one could not be made.
    """
    from benchbd.audit.missing_strips import make_strip, missing_strips
    from benchbd.errors import BenchbdError

    folder, failed = results or RESULTS_FOLDER, False
    for strip, result in missing_strips(_board(results, trust), folder).items():
        try:
            made = make_strip(strip, result, device, places)
        except BenchbdError as error:  # the others can still be made
            failed = True
            click.echo(f"not made: {strip}: {error}", err=True)
        else:
            click.echo(f"written: {made}" if made else f"a PNG cannot show the images of {result}")
    sys.exit(1 if failed else 0)


@command.command()
@results_options
@click.option(
    "--targets",
    type=click.Path(path_type=Path),
    default=BOARD_FOLDER / "published",
    show_default=True,
    help="Published numbers.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("docs/reproduction.md"),
    show_default=True,
    help="The page.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Write nothing; fail (1) if the page is not what results and targets give.",
)
def reproduction(
    results: Path | None, trust: Path | None, targets: Path, out: Path, check: bool
) -> None:
    """Hold published numbers (a YAML file, or a folder of them) against the results, and write the
    page of it.
    """
    from benchbd.leaderboard.against_papers.paper_numbers import load_published
    from benchbd.leaderboard.against_papers.report import to_page
    from benchbd.record.files import write_text

    page = to_page(load_published(targets), _board(results, trust))
    if not check:
        click.echo(f"written: {write_text(out, page)}")
        return
    stale = not out.is_file() or out.read_bytes() != page.encode()
    if stale:
        click.echo(
            f"out of date: {out}; `benchbd leaderboard reproduction` makes it again", err=True
        )
    sys.exit(1 if stale else 0)


def _board(results: Path | None, trust: Path | None) -> Board:
    """Return the board of a folder of results. Files that cannot be believed are named on
    stderr.
    """
    from benchbd.errors import RecordError
    from benchbd.leaderboard.board.build import read_board
    from benchbd.leaderboard.board.last_version import read_last_version
    from benchbd.leaderboard.board.sensitivity import read_studies
    from benchbd.leaderboard.board.trust import read_ledger

    folder = results or BOARD_FOLDER / "results"
    if not folder.is_dir():
        raise RecordError(
            f"no folder of results at {folder}; `benchbd matrix` fills one, --results names another"
        )
    beside = folder.parent
    board = replace(
        read_board(
            folder,
            read_ledger(trust or beside / "trust.json"),
            read_studies(beside / "sensitivity.json"),
        ),
        last_version=read_last_version(beside / LAST_VERSION),
    )
    for fault in board.faults:
        click.echo(f"not believed: {fault}", err=True)
    return board


def _printed(table: TextTable) -> Any:
    from rich.table import Table
    from rich.text import Text

    printed = Table(
        title=Text(table.title),
        caption=Text(table.note),
        title_justify="left",
        caption_justify="left",
    )
    for place, name in enumerate(table.header):
        printed.add_column(Text(name), justify="left" if place < table.texts else "right")
    for row in table.rows:
        printed.add_row(*map(Text, row))
    return printed


def _duels(found: list[Any], first: str, second: str) -> TextTable:
    from benchbd.leaderboard.render.tables import TextTable

    return TextTable(
        "Image by image",
        (
            "attack",
            "seed",
            f"only {first} right",
            f"only {second} right",
            "p",
            f"only {first} fooled",
            f"only {second} fooled",
            "p",
        ),
        tuple(
            (
                duel.attack,
                str(duel.seed),
                *(f"{value}" for split in (duel.right, duel.fooled) for value in _split(split)),
            )
            for duel in found
        ),
        "McNemar's exact test inside one attacked model, not corrected for the number of models.",
    )


def _split(split: Any) -> tuple[str, str, str]:
    return str(split.only_first), str(split.only_second), f"{split.p:.3g}"
