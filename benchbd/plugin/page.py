"""The page of documentation of a plugin in Markdown: its description, its method, its needs and its
parameters.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from benchbd.markdown import markdown_table
from benchbd.plugin.declared import limits, type_name
from benchbd.plugin.entry import COST_CLASSES, KINDS, PLURALS, PluginEntry
from benchbd.plugin.plugin import Plugin
from benchbd.plugin.registry import entries, load

EXAMPLE_COMMANDS = {
    "attack": "benchbd run --attack {} --defense none",
    "defense": "benchbd run --attack ATTACK --defense {}",
    "analysis": "benchbd analyze NAME --with {}",
    "model": "benchbd run --attack ATTACK --dataset DATASET --model {}",
    "dataset": "benchbd run --attack ATTACK --dataset {}",
    "executor": "benchbd matrix PROTOCOL --executor {}",
}


def pages(provider: str) -> dict[str, str]:
    """Return the pages of all plugins of a package by file name, `attack/NAME.md` and
    `index.md`.
    """
    mine = {
        kind: [entry for entry in entries(kind) if entry.provider == provider] for kind in KINDS
    }
    made = {
        f"{kind}/{entry.name}.md": page(entry) for kind, found in mine.items() for entry in found
    }
    return made | {"index.md": _index(provider, mine)}


def page(entry: PluginEntry) -> str:
    """Return the page of one plugin. Raises `PluginError` when it cannot be imported."""
    cls = load(entry.kind, f"{entry.provider}/{entry.name}")
    parts = [
        f"# {entry.name}",
        f"*{entry.kind}{', ' + entry.family if entry.family else ''}*: {entry.summary}.",
        "\n".join(f"- {fact}" for fact in _facts(entry.card)),
        _command(entry),
        "## How it works",
        inspect.getdoc(inspect.getmodule(cls)) or "",
        inspect.cleandoc(cls.__doc__ or ""),
        "## Parameters",
        parameter_table(cls) if cls.model_fields else "None.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _command(entry: PluginEntry) -> str:
    """Return the command that uses the plugin; empty for a plugin that only stands for something
    imported.
    """
    if entry.card.get("role") == "imported":
        return ""
    given = " --set dataset.path=FOLDER" if "path" in entry.card.get("needs", ()) else ""
    return f"```sh\n{EXAMPLE_COMMANDS[entry.kind].format(entry.name)}{given}\n```"


def _facts(card: dict[str, Any]) -> Iterator[str]:
    paper, reference = card.get("paper"), card.get("reference")
    if isinstance(paper, dict):
        yield (
            f"Paper: {paper.get('authors')}, [{paper.get('title')}]({paper.get('url')}), "
            f"{paper.get('year')}"
        )
    if isinstance(reference, dict):
        yield (
            f"Reference code, read for facts alone: <{reference.get('code')}>, licence: "
            f"{reference.get('licence')}"
        )
    if card.get("cost"):
        yield f"Cost: {card['cost']}, {COST_CLASSES.get(str(card['cost']), '')}"
    if card.get("steps"):
        yield f"Steps of optimizers in the setting of the reference: {card['steps']:,}"
    for word, meaning in (
        ("clean_data", "Clean data"),
        ("label_mode", "Labels"),
        ("memory", "Memory"),
    ):
        if word in card:
            yield f"{meaning}: {card[word]}"
    for word, meaning in (("needs", "Needs"), ("trains", "Trains first"), ("tags", "Tags")):
        if card.get(word):
            yield f"{meaning}: {', '.join(map(str, card[word]))}"


def parameter_table(cls: type[Plugin]) -> str:
    """Return the hyper-parameters of a plugin as a table in Markdown."""
    rows = []
    for name, field in cls.model_fields.items():
        default = field.get_default(call_default_factory=True)
        shown = "unset" if default is None else f"`{default}`"
        kind, span = type_name(field.annotation), limits(field)
        rows.append((f"`{name}`", kind, shown, span, field.description or ""))
    return markdown_table(("parameter", "type", "default", "range", "meaning"), rows)


def _index(provider: str, mine: dict[str, list[PluginEntry]]) -> str:
    parts = [f"# Plugins of {provider}"]
    for kind, found in mine.items():
        if found:
            table = markdown_table(("name", "family", "what it is", "cost"), map(_row, found))
            parts.append(f"## {PLURALS[kind]}\n\n{table}")
    legend = "; ".join(f"{letter}: {meaning}" for letter, meaning in COST_CLASSES.items())
    return "\n\n".join([*parts, f"Cost classes: {legend}."]) + "\n"


def _row(entry: PluginEntry) -> tuple[str, str, str, str]:
    link = f"[{entry.name}]({entry.kind}/{entry.name}.md)"
    return link, entry.family, entry.summary, str(entry.card.get("cost", ""))
