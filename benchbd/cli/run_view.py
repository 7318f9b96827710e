"""What a person sees of a run: the table, further findings, and the files that were written."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console

from benchbd.record.attack_files import record_dir
from benchbd.record.cell import Cell
from benchbd.report.table import cells_table, curve_table, detection_line, failure
from benchbd.running.run import AttackOutcome, Run


def show_table(run: Run) -> None:
    """Print the table alone. The reasons why cells have no numbers go to stderr."""
    console = _console()
    console.print(_table(run, console))
    errors = Console(stderr=True, highlight=False)
    for line in filter(None, map(failure, run.cells)):
        errors.print(line, markup=False, soft_wrap=True)


def show_run(run: Run, files: list[str], verbose: bool = False) -> None:
    """Print the table and all that belongs to it. verbose: print tracebacks too."""
    console = _console()
    for each in run.attacked:
        if each.undefended is not None:
            console.print(each.undefended.header)
    console.print(_table(run, console))
    for each in run.attacked:
        _show_details(each, console, len(run.attacked) > 1, verbose)
    if again := sum(len(each.stored) for each in run.attacked):
        console.print(
            f"stored results used again: {again} of {len(run.cells)} defenses; `--rerun defense` "
            "computes them anew"
        )
    _show_written(files if len(run.attacked) == 1 else _folders(files), console)


def _show_written(paths: Sequence[str], console: Console) -> None:
    if paths:
        console.print("written:")
    for path in paths:
        console.print(f"  {path}", markup=False)


def _folders(files: Iterable[str]) -> list[str]:
    """Return the folders of the attack results that the files belong to. Files of a defense lie
    deeper in them.
    """
    parents = (parent for file in files for parent in Path(file).parents)
    return list(dict.fromkeys(str(each) for each in parents if each.parent == record_dir()))


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 120, highlight=False)


def _table(run: Run, console: Console) -> object:
    attacked = [(each.undefended, each.cells) for each in run.attacked]
    return cells_table(attacked, console.width)


def _show_details(attacked: AttackOutcome, console: Console, several: bool, verbose: bool) -> None:
    """Print what the row of a cell does not say. several: whether lines have to name the attack and
    the seed.
    """
    for note in attacked.undefended.notes if attacked.undefended else ():
        console.print(note, markup=False)
    for cell in attacked.cells:
        where = f"{cell.cell.attack.label}, seed {cell.cell.seed}: " if several else ""
        if line := detection_line(cell):
            console.print(where + line, markup=False)
        if cell.operating_points and not several:
            console.print(curve_table(cell))
        for doubt in cell.doubts:
            told = f"{where}doubtful, {cell.cell.defense.name}: {doubt}"
            console.print(told, style="yellow", markup=False)
        _show_failure(cell, where, console, verbose)


def _show_failure(cell: Cell, where: str, console: Console, verbose: bool) -> None:
    if not (why := failure(cell)):
        return
    console.print(where + why, markup=False)
    if cell.status.traceback:
        trace = cell.status.traceback if verbose else "-v shows where it was raised"
        console.print(trace, markup=False)
