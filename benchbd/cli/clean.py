"""`benchbd clean`: it lists files that nobody needs any more, and removes them on request."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchbd.record.cells import RESULTS_FOLDER

if TYPE_CHECKING:
    from benchbd.matrices.leftovers import Leftover, LeftoverKind

LEFTOVER_PLURALS: dict[LeftoverKind, str] = {
    "claim": "claims of processes that have died",
    "spec": "specs of controllers that have died",
    "temporary file": "temporary files of processes that have died",
    "remembered work": "surrogates and other work that is made anew where it is missed",
    "record": "records that belong to no cell",
}


@click.command()
@click.argument("protocols", metavar="[PROTOCOL]...", nargs=-1)
@click.option(
    "--records",
    "with_records",
    is_flag=True,
    help="Also records of no cell: neither of a protocol that has a name here or is given, nor of "
    "a stored result. What `benchbd run` and `benchbd import` made is among them.",
)
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    help=f"Folder of the results.  [default: {RESULTS_FOLDER}]",
)
@click.option(
    "--dry-run/--yes", default=True, help="Only show it, which is the default; remove it."
)
def command(
    protocols: tuple[str, ...], with_records: bool, results: Path | None, dry_run: bool
) -> None:
    """Show what under record/ and the results nobody needs any more, with sizes: what processes
    left that have died, and remembered work. Nothing that a living process works on is among it.

    PROTOCOL: YAML files whose records are kept, besides those of the protocols that have a name.
    Returns 1 when something could not be removed.
    """
    found = list(_leftovers(protocols, with_records, results or RESULTS_FOLDER))
    for kind, called in LEFTOVER_PLURALS.items():
        _print_kind(called, [each for each in found if each.kind == kind])
    if not found:
        click.echo("nothing to clean")
    elif dry_run:
        click.echo("nothing was removed; `--yes` removes it")
    else:
        _remove(found)


def _leftovers(protocols: tuple[str, ...], with_records: bool, results: Path) -> Iterator[Leftover]:
    from benchbd.matrices.leftovers import (
        KnownWork,
        leftovers_of_dead_processes,
        remembered_work,
        unknown_records,
    )
    from benchbd.record.attack_files import record_dir
    from benchbd.running.protocol import known_protocols, load_protocol

    records = record_dir()
    loaded = [load_protocol(name) for name in protocols]  # a slip is told before anything is shown
    yield from leftovers_of_dead_processes(records, results)
    yield from remembered_work(records)
    if with_records:
        loaded += [load_protocol(name) for name in known_protocols()]
        yield from unknown_records(records, KnownWork.of(loaded, results))


def _print_kind(called: str, found: list[Leftover]) -> None:
    if found:
        total = _in_words(sum(each.size for each in found))
        click.echo(f"{click.style(called, bold=True)}: {len(found)}, {total}")
    for each in found:
        click.echo(f"  {_in_words(each.size):>10}  {each.path}")


def _remove(found: list[Leftover]) -> None:
    kept = [each for each in found if not each.remove()]
    gone = sum(each.size for each in found) - sum(each.size for each in kept)
    click.echo(f"removed: {len(found) - len(kept)}, {_in_words(gone)}")
    for each in kept:
        click.echo(f"could not be removed, or is being worked on: {each.path}", err=True)
    sys.exit(1 if kept else 0)


def _in_words(size: float) -> str:
    """Return a number of bytes in the largest unit in which it is at least one."""
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
