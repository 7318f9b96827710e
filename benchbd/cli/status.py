"""`benchbd status`: how far a matrix is."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click

from benchbd.measure.siblings import outlying


@click.command()
@click.argument("protocol", required=False)
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    help="Folder of the results.  [default: leaderboard/results]",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object: protocol -> status -> count."
)
def command(protocol: str | None, results: Path | None, as_json: bool) -> None:
    """Count the stored cells of PROTOCOL (a name or a YAML file) and what is missing; name failed
    and doubtful cells.

    Without PROTOCOL: the stored cells of all protocols, by how they ended.
    """
    folder = results or Path("leaderboard/results")
    name, planned = _planned(protocol, folder) if protocol else ("", set[str]())
    cells = list(_cells(folder, name))
    protocols: dict[str, list[_Cell]] = {}
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
    """The name of a protocol and the results that it asks for; none where it has results but can be
    planned no longer.
    """
    from benchbd.errors import BenchbdError
    from benchbd.matrices.plan import plan
    from benchbd.running.protocol import load_protocol

    try:
        known = load_protocol(protocol)
        return known.name, {cell.result_name for cell in plan(known)}
    except BenchbdError:
        if (folder / protocol).is_dir():
            return protocol, set()
        raise


def _progress(cells: list[_Cell], planned: set[str]) -> str:
    """How many of the planned results are stored, and what is stored beside them, such as attacks
    that joined.
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


def _counts(cells: list[_Cell]) -> Counter[str]:
    return Counter(cell.code for cell in cells)


def _counted(cells: list[_Cell]) -> str:
    return ", ".join(f"{count} {code}" for code, count in sorted(_counts(cells).items()))


def _print_troubles(cells: list[_Cell]) -> None:
    for cell in cells:
        if cell.code not in ("ok", "n/a"):
            click.echo(f"  {click.style(cell.code, fg='red')} {cell.name}: {cell.reason}")
    told: dict[tuple[str, str], list[str]] = {}
    for name, doubt in _doubts(cells):
        told.setdefault(("/".join(name.split("/")[:2]), doubt), []).append(name)
    for (attack, doubt), names in told.items():
        where = names[0] if len(names) == 1 else f"{attack}, {len(names)} cells"
        click.echo(f"  {click.style('doubtful', fg='yellow')} {where}: {doubt}")


@dataclass(frozen=True)
class _Cell:
    """What a listing needs of a stored cell. `place`: what it shares with its other seeds."""

    name: str
    code: str
    reason: str
    seed: int = 0
    place: str = ""
    doubts: tuple[str, ...] = ()
    shares: dict[str, float] = field(default_factory=dict)

    @property
    def protocol(self) -> str:
        return self.name.partition("/")[0]


def _cells(folder: Path, protocol: str) -> Iterator[_Cell]:
    """All stored cells, of one protocol if it is named. Digests are not checked here: `benchbd
    plan` does that.
    """
    for place, folders, files in os.walk(folder / protocol):
        folders.sort()
        name = Path(place).relative_to(folder).as_posix()
        for file in sorted(files):
            if file.endswith(".json"):
                yield _read(f"{name}/{file}", f"{place}/{file}")


def _read(name: str, path: str) -> _Cell:
    try:
        with open(path, "rb") as file:
            cell = json.loads(file.read())
        status, about, metrics = cell["status"], cell["cell"], cell["metrics"] or {}
        place = json.dumps([cell["protocol"], {**about, "seed": None}], sort_keys=True)
        shares = {
            each: float(metrics[each])
            for each in ("acc", "asr", "rc")
            if metrics.get(each) is not None
        }
        doubts = tuple(str(doubt) for doubt in cell.get("doubts", ()))
        return _Cell(
            name,
            str(status["code"]),
            str(status["reason"]),
            int(about["seed"]),
            place,
            doubts,
            shares,
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return _Cell(name, "unreadable", "the file is no result of a cell; it will be made again")


def _doubts(cells: list[_Cell]) -> Iterator[tuple[str, str]]:
    """The doubts of every cell, and seeds far from their siblings."""
    siblings: dict[str, list[_Cell]] = {}
    for cell in cells:
        yield from ((cell.name, doubt) for doubt in cell.doubts)
        if cell.shares:
            siblings.setdefault(cell.place, []).append(cell)
    for group in siblings.values():
        for share in ("acc", "asr", "rc"):
            values = {cell.seed: cell.shares[share] for cell in group if share in cell.shares}
            for seed in outlying(values):
                name = next(cell.name for cell in group if cell.seed == seed)
                yield name, f"far from its siblings in {share.upper()}: {100 * values[seed]:.1f} %"
