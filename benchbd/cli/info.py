"""`benchbd info`: the card, needs, paper and parameters of one plugin, or the options of the
recipe, which is declared like a plugin.
"""

from __future__ import annotations

import inspect
import json
import sys
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING

import click

from benchbd.errors import PluginError, PluginNotFound, nearest
from benchbd.plugin.entry import BUNDLED_PROVIDER, KINDS, PluginEntry
from benchbd.plugin.loose import file_entry, file_hint, load_only_plugin
from benchbd.plugin.registry import entries, is_file, load

if TYPE_CHECKING:
    from rich.console import RenderableType

    from benchbd.plugin.plugin import Plugin

RECIPE_WORD = "recipe"

NARROW_COLUMNS = 100
"""Width of the terminal below which the meaning of a parameter goes on a line of its own."""


@click.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(name: str, as_json: bool) -> None:
    """Show what the plugin NAME is, what it needs and what it can be told.

    KIND.NAME where a name is not unique, or a file; `recipe` for the options of training.
    """
    entry = _find(name)
    rows = _parameters(entry)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "kind": entry.kind,
                    "name": entry.name,
                    "provider": entry.provider,
                    **entry.card,
                    "parameters": rows,
                }
            )
        )
        return
    _print(entry, rows)


def _find(name: str) -> PluginEntry:
    if is_file(name):
        return _in_file(name)
    if name == RECIPE_WORD:
        return _recipe()
    kind, _, bare = name.partition(".") if name.partition(".")[0] in KINDS else ("", "", name)
    known = [entry for each in KINDS for entry in entries(each) if kind in ("", each)]
    found = [entry for entry in known if entry.name == bare.partition(":")[0]]
    if not found:
        guess = file_hint(bare) or nearest(
            bare, [*(e.name for e in known), RECIPE_WORD], "`benchbd list` shows all"
        )
        raise PluginNotFound(f"no plugin named {name!r}{guess}")
    if len({entry.kind for entry in found}) > 1:
        raise PluginError(
            f"{name!r} is the name of several plugins: "
            f"{', '.join(f'{e.kind}.{e.name}' for e in found)}; say which"
        )
    return found[0]


def _in_file(name: str) -> PluginEntry:
    """Return the entry of the only plugin of a file."""
    cls = load_only_plugin(name)
    path = name.partition(".py:")[0].removesuffix(".py")
    return replace(file_entry(cls.kind, f"{path}.py:{cls.__qualname__}"), card=_own_card(cls))


def _recipe() -> PluginEntry:
    from benchbd.engine.recipe import Recipe

    return PluginEntry(
        RECIPE_WORD,
        RECIPE_WORD,
        BUNDLED_PROVIDER,
        version(BUNDLED_PROVIDER),
        f"{Recipe.__module__}:{Recipe.__name__}",
        _own_card(Recipe),
    )


def _own_card(cls: type[Plugin]) -> dict[str, str]:
    """Return a card for a plugin without one, made from what its class says about itself."""
    return {
        "family": getattr(cls, "family", ""),
        "summary": (inspect.getdoc(cls) or "").partition("\n")[0].rstrip("."),
    }


def _class(entry: PluginEntry) -> type[Plugin]:
    if entry.kind == RECIPE_WORD:
        from benchbd.engine.recipe import Recipe

        return Recipe
    return load(
        entry.kind, entry.target if is_file(entry.target) else f"{entry.provider}/{entry.name}"
    )


def _parameters(entry: PluginEntry) -> list[dict[str, object]]:
    from benchbd.plugin.declared import limits, type_name

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


def _print(entry: PluginEntry, rows: list[dict[str, object]]) -> None:
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    called = RECIPE_WORD if entry.kind == RECIPE_WORD else f"{entry.kind}.{entry.name}"
    console.print(f"[bold]{called}[/]  {entry.family}  {entry.summary}")
    console.print(f"provided by {entry.provider} {entry.version} ({entry.target})", style="dim")
    for line in _facts(entry):
        console.print(line, markup=False)
    module = inspect.getmodule(_class(entry))
    console.print(f"\n{inspect.getdoc(module) or ''}\n", markup=False)
    if not rows:
        console.print("no parameters")
        return
    console.print(_listed(rows) if console.width < NARROW_COLUMNS else _table(rows), markup=False)


def _table(rows: list[dict[str, object]]) -> RenderableType:
    from rich.table import Table

    table = Table(
        "parameter",
        "type",
        "default",
        "range",
        "meaning",
        box=None,
        header_style="bold",
        pad_edge=False,
    )
    for row in rows:
        table.add_row(*_facts_of(row), str(row["meaning"]))
    return table


def _listed(rows: list[dict[str, object]]) -> RenderableType:
    """Return the parameters as lines, each with its meaning on a line of its own."""
    from rich.console import Group
    from rich.padding import Padding

    lines: list[RenderableType] = []
    for row in rows:
        lines += [
            "  ".join(filter(None, _facts_of(row))),
            Padding(str(row["meaning"]), (0, 0, 0, 4)),
        ]
    return Group(*lines)


def _facts_of(row: dict[str, object]) -> list[str]:
    """Return name, type, default and range of a parameter."""
    default = "unset" if row["default"] is None else str(row["default"])
    return [str(row["name"]), str(row["type"]), default, str(row["range"])]


def _facts(entry: PluginEntry) -> list[str]:
    card, facts = entry.card, []
    if paper := card.get("paper"):
        facts.append(
            f"paper: {paper.get('authors')}: {paper.get('title')}, {paper.get('year')}. "
            f"{paper.get('url', '')}"
        )
    lists = [
        f"{word}: {', '.join(map(str, card[word]))}" for word in ("needs", "tags") if card.get(word)
    ]
    values = [
        f"{word.replace('_', ' ')}: {card[word]}"
        for word in ("clean_data", "label_mode", "memory")
        if word in card
    ]
    return facts + lists + values
