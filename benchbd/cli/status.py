"""`benchbd status`: the progress of a matrix."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from benchbd.errors import BenchbdError, RecordError
from benchbd.leaderboard.board.text import one_line
from benchbd.measure.siblings import stray_doubts
from benchbd.record.cell import CellSummary
from benchbd.record.cells import RESULTS_FOLDER, cell_paths, read_summary


@click.command()
@click.argument("protocol", required=False)
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    help=f"Folder of the results.  [default: {RESULTS_FOLDER}]",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object: protocol -> status -> count."
)
def command(protocol: str | None, results: Path | None, as_json: bool) -> None:
    """Count the stored cells of PROTOCOL (a name or a YAML file) and what is missing; name failed
    and doubtful cells.

    Without PROTOCOL: the stored cells of all protocols, by how they ended. Whether their digests
    fit is not looked at here, but by `benchbd plan PROTOCOL` and `benchbd verify`.
    """
    folder = results or RESULTS_FOLDER
    name, planned = _planned(protocol, folder) if protocol else ("", set[str]())
    cells = list(_listed(folder, name))
    protocols: dict[str, list[_Listed]] = {}
    for cell in cells:
        protocols.setdefault(cell.protocol, []).append(cell)
    if as_json:
        click.echo(json.dumps({each: _counts(its) for each, its in protocols.items()}))
        return
    if planned:
        click.echo(f"{click.style(name, bold=True)}: {_progress(cells, planned)}")
    elif not cells:
        click.echo(f"no results under {folder / name}")
    else:
        for each, its in protocols.items():
            click.echo(f"{click.style(each, bold=True)}: {_counted(its)}")
    _print_troubles(cells)


def _planned(protocol: str, folder: Path) -> tuple[str, set[str]]:
    """Return the name of a protocol and the names of its planned results. There are none for a
    protocol that has results but can no longer be planned.
    """
    from benchbd.matrices.known_plugins import known_plugins
    from benchbd.matrices.plan import plan
    from benchbd.running.protocol import load_protocol

    try:
        asked = load_protocol(protocol)
        with known_plugins(folder) as known:
            return asked.name, {cell.result_name for cell in plan(asked, None, known.recall)}
    except BenchbdError:
        if (folder / protocol).is_dir():
            return protocol, set()
        raise


def _progress(cells: list[_Listed], planned: set[str]) -> str:
    """Return how many of the planned results are stored, and how many results there are beside
    them, such as those of added attacks.
    """
    inside, beside = (
        [c for c in cells if c.name in planned],
        [c for c in cells if c.name not in planned],
    )
    ended = f" ({_counted(inside)})" if inside else ""
    more = f"; {len(beside)} that it does not name ({_counted(beside)})" if beside else ""
    return (
        f"{len(inside)} of {len(planned)} cells{ended}, {len(planned) - len(inside)} missing{more}"
    )


def _counts(cells: list[_Listed]) -> Counter[str]:
    return Counter(cell.code for cell in cells)


def _counted(cells: list[_Listed]) -> str:
    return ", ".join(f"{count} {code}" for code, count in sorted(_counts(cells).items()))


def _print_troubles(cells: list[_Listed]) -> None:
    for cell in cells:
        if cell.code not in ("ok", "n/a"):
            click.echo(
                f"  {click.style(cell.code, fg='red')} {one_line(cell.name)}: "
                f"{one_line(cell.reason)}"
            )
    told: dict[tuple[str, str], list[str]] = {}
    for name, doubt in _doubts(cells):
        told.setdefault(("/".join(name.split("/")[:2]), doubt), []).append(name)
    for (attack, doubt), names in told.items():
        where = names[0] if len(names) == 1 else f"{attack}, {len(names)} cells"
        click.echo(f"  {click.style('doubtful', fg='yellow')} {one_line(where)}: {one_line(doubt)}")


@dataclass(frozen=True)
class _Listed:
    """A result file under its name. summary: None where it cannot be read."""

    name: str
    summary: CellSummary | None

    @property
    def protocol(self) -> str:
        return self.name.partition("/")[0]

    @property
    def code(self) -> str:
        return self.summary.status.code if self.summary else "unreadable"

    @property
    def reason(self) -> str:
        if self.summary is None:
            return "the file is no result of a cell; it will be made again"
        return self.summary.status.reason

    @property
    def doubts(self) -> tuple[str, ...]:
        return self.summary.doubts if self.summary else ()


def _listed(folder: Path, protocol: str) -> Iterator[_Listed]:
    """Yield all stored cells, or those of one protocol if it is named. Digests are not checked
    here: `benchbd plan` does that.
    """
    for path in cell_paths(folder / protocol):
        try:
            summary = read_summary(path)
        except RecordError:
            summary = None
        yield _Listed(path.relative_to(folder).as_posix(), summary)


def _doubts(cells: list[_Listed]) -> Iterator[tuple[str, str]]:
    """Yield the doubts of every cell, and the seeds that lie far from their siblings."""
    siblings: dict[str, dict[int, _Listed]] = {}
    for cell in cells:
        yield from ((cell.name, doubt) for doubt in cell.doubts)
        if cell.summary and cell.summary.metrics:
            siblings.setdefault(_place(cell.summary), {})[cell.summary.cell.seed] = cell
    for group in siblings.values():
        for seed, words in stray_doubts({seed: _shares(cell) for seed, cell in group.items()}):
            yield group[seed].name, words


def _place(cell: CellSummary) -> str:
    """Return a text that a cell shares with its other seeds and with no other cell."""
    return cell.protocol + cell.cell.model_copy(update={"seed": 0}).model_dump_json()


def _shares(cell: _Listed) -> dict[str, float | None]:
    return cell.summary.metrics.model_dump() if cell.summary and cell.summary.metrics else {}
