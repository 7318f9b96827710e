"""`benchbd status`: how far a matrix is."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click


@click.command()
@click.argument("protocol", required=False)
@click.option("--results", type=click.Path(path_type=Path), help="Folder of the results.  [default: leaderboard/results]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: protocol -> status -> count.")
def command(protocol: str | None, results: Path | None, as_json: bool) -> None:
    """Count the stored cells of PROTOCOL, of all protocols without one, by how they ended; name failed and doubtful ones."""
    folder = results or Path("leaderboard/results")
    rows = list(_rows(folder, protocol))
    counts: dict[str, Counter[str]] = {}
    for name, code, _, _ in rows:
        counts.setdefault(name.split("/")[0], Counter())[code] += 1
    if as_json:
        click.echo(json.dumps(counts))
        return
    if not rows:
        click.echo(f"no results under {folder}" + (f"/{protocol}" if protocol else ""))
    for each, codes in counts.items():
        click.echo(f"{click.style(each, bold=True)}: {', '.join(f'{count} {code}' for code, count in sorted(codes.items()))}")
    for name, code, reason, doubts in rows:
        if code not in ("ok", "n/a"):
            click.echo(f"  {click.style(code, fg='red')} {name}: {reason}")
        for doubt in doubts:
            click.echo(f"  {click.style('doubtful', fg='yellow')} {name}: {doubt}")


def _rows(folder: Path, protocol: str | None) -> Iterator[tuple[str, str, str, list[str]]]:
    """Name, status, reason and doubts of every stored cell. Digests are not checked here: `benchbd plan` does that."""
    for place, folders, files in os.walk(folder / protocol if protocol else folder):
        folders.sort()
        name = Path(place).relative_to(folder).as_posix()
        for file in sorted(files):
            if file.endswith(".json"):
                yield f"{name}/{file}", *_status(f"{place}/{file}")


def _status(path: str) -> tuple[str, str, list[str]]:
    try:
        with open(path, "rb") as file:
            cell = json.loads(file.read())
        return str(cell["status"]["code"]), str(cell["status"]["reason"]), [str(doubt) for doubt in cell.get("doubts", ())]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return "unreadable", "the file is no result of a cell; it will be made again", []
