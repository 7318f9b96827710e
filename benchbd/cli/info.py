"""`benchbd info`: one plugin's card, needs, paper and parameters."""

from __future__ import annotations

import inspect
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from benchbd.errors import PluginError, PluginNotFound, nearest
from benchbd.plugin.entry import KINDS, Entry
from benchbd.plugin.loose import file_entry, file_meant, named_in
from benchbd.plugin.registry import entries, is_file, load

if TYPE_CHECKING:
    from benchbd.plugin.plugin import Plugin


@click.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(name: str, as_json: bool) -> None:
    """Show what the plugin NAME is, what it needs and what it can be told. KIND.NAME where a name is not unique, or a file."""
    entry = _find(name)
    rows = _parameters(entry)
    if as_json:
        click.echo(
            json.dumps({"kind": entry.kind, "name": entry.name, "provider": entry.provider, **entry.card, "parameters": rows})
        )
        return
    _print(entry, rows)


def _find(name: str) -> Entry:
    if is_file(name):
        return _in_file(name)
    kind, _, bare = name.partition(".") if name.partition(".")[0] in KINDS else ("", "", name)
    known = [entry for each in KINDS for entry in entries(each) if kind in ("", each)]
    found = [entry for entry in known if entry.name == bare.partition(":")[0]]
    if not found:
        guess = file_meant(bare) or nearest(bare, [e.name for e in known], "`benchbd list` shows all")
        raise PluginNotFound(f"no plugin named {name!r}{guess}")
    if len({entry.kind for entry in found}) > 1:
        raise PluginError(f"{name!r} is the name of several plugins: {', '.join(f'{e.kind}.{e.name}' for e in found)}; say which")
    return found[0]


def _in_file(name: str) -> Entry:
    """The one plugin of a file, described by its own docstring."""
    cls = named_in(name)
    card = {"family": getattr(cls, "stage", ""), "summary": (inspect.getdoc(cls) or "").partition("\n")[0].rstrip(".")}
    return replace(file_entry(cls.kind, f"{name.partition('.py:')[0].removesuffix('.py')}.py:{cls.__qualname__}"), card=card)


def _class(entry: Entry) -> type[Plugin]:
    return load(entry.kind, entry.target if is_file(entry.target) else f"{entry.provider}/{entry.name}")


def _parameters(entry: Entry) -> list[dict[str, object]]:
    from benchbd.plugin.plugin import limits, type_name

    cls = _class(entry)
    return [
        {
            "name": name,
            "type": type_name(field.annotation),
            "default": field.get_default(call_default_factory=True),
            "range": limits(field),
            "meaning": field.description or "",
        }
        for name, field in cls.model_fields.items()
    ]


def _print(entry: Entry, rows: list[dict[str, object]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(f"[bold]{entry.kind}.{entry.name}[/]  {entry.family}  {entry.summary}", highlight=False)
    console.print(f"provided by {entry.provider} {entry.version} ({entry.target})", highlight=False, style="dim")
    for line in _facts(entry):
        console.print(line, highlight=False, markup=False)
    module = inspect.getmodule(_class(entry))
    console.print(f"\n{inspect.getdoc(module) or ''}\n", highlight=False, markup=False)
    table = Table("parameter", "type", "default", "range", "meaning", box=None, header_style="bold", pad_edge=False)
    for row in rows:
        default = "unset" if row["default"] is None else str(row["default"])
        table.add_row(str(row["name"]), str(row["type"]), default, str(row["range"]), str(row["meaning"]))
    console.print(table if rows else "no parameters", markup=False)


def _facts(entry: Entry) -> list[str]:
    card, facts = entry.card, []
    if paper := card.get("paper"):
        facts.append(f"paper: {paper.get('authors')}: {paper.get('title')}, {paper.get('year')}. {paper.get('url', '')}")
    lists = [f"{word}: {', '.join(map(str, card[word]))}" for word in ("needs", "tags") if card.get(word)]
    values = [f"{word.replace('_', ' ')}: {card[word]}" for word in ("clean_data", "label_mode", "memory") if word in card]
    return facts + lists + values
