"""`benchbd list`: names and summaries of plugins, from package metadata and registry files alone,
and of protocols.
"""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Sequence

import click

from benchbd.cli.kind import WordChoice
from benchbd.markdown import markdown_table
from benchbd.plugin.entry import BUNDLED_PROVIDER, KINDS, PLURALS, PluginEntry
from benchbd.plugin.registry import entries

KIND_BY_WORD = {PLURALS[kind]: kind for kind in KINDS} | {kind: kind for kind in KINDS}

PROTOCOLS = "protocols"

Line = tuple[str, str, str]
"""Name, family and summary."""


@click.command()
@click.argument(
    "kind",
    required=False,
    type=WordChoice([*KIND_BY_WORD, PROTOCOLS]),
    metavar=f"[{'|'.join([*PLURALS.values(), PROTOCOLS])}]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
@click.option("--markdown", is_flag=True, help="Print Markdown tables.")
def command(kind: str | None, as_json: bool, markdown: bool) -> None:
    """List plugins by kind, all kinds without an argument, or the protocols that come with benchbd.
    No plugin is imported.
    """
    if kind == PROTOCOLS:
        _list_protocols(as_json, markdown)
        return
    kinds = [KIND_BY_WORD[kind]] if kind else list(KINDS)
    if markdown:
        click.echo("\n\n".join(plugin_table(each, entries(each)) for each in kinds))
        return
    if as_json:
        click.echo(
            json.dumps([_json(entry) for each in kinds for entry in entries(each)], indent=1)
        )
        return
    for each in kinds:
        _print(PLURALS[each], [_line(entry) for entry in entries(each)])


def _line(entry: PluginEntry) -> Line:
    origin = "" if entry.provider == BUNDLED_PROVIDER else f"  [{entry.provider}]"
    return entry.name, entry.family, entry.summary + origin


def _list_protocols(as_json: bool, markdown: bool) -> None:
    from benchbd.running.protocol import known_protocols, load_protocol

    found = [(name, load_protocol(name).about) for name in known_protocols()]
    if as_json:
        click.echo(json.dumps([{"name": name, "about": about} for name, about in found], indent=1))
    elif markdown:
        rows = [(f"`{name}`", about) for name, about in found]
        click.echo(markdown_table(("protocol", "what it is"), rows))
    else:
        _print(PROTOCOLS, [(name, "", about) for name, about in found])


def _print(title: str, lines: Sequence[Line]) -> None:
    """In columns, a line for each; in a terminal that is too narrow for them, the summary below its
    name.
    """
    click.secho(title, bold=True)
    width, family = (max((len(line[i]) for line in lines), default=0) for i in (0, 1))
    rows = [f"  {name:{width}}  {group:{family}}  {summary}" for name, group, summary in lines]
    room = shutil.get_terminal_size().columns
    if sys.stdout.isatty() and any(len(row) > room for row in rows):
        rows = [_narrow(line, room) for line in lines]
    click.echo("".join(f"{row}\n" for row in rows))


def _narrow(line: Line, room: int) -> str:
    name, family, summary = line
    below = textwrap.fill(summary, room, initial_indent="    ", subsequent_indent="    ")
    return f"  {name}  {family}".rstrip() + f"\n{below}"


def plugin_table(kind: str, found: tuple[PluginEntry, ...]) -> str:
    """Return the plugins of a kind as a Markdown table, with their papers."""
    rows = [(f"`{each.name}`", each.family, each.summary, _cited(each)) for each in found]
    return markdown_table((kind, "family", "what it is", "paper"), rows)


def _cited(entry: PluginEntry) -> str:
    paper = entry.card.get("paper")
    if not isinstance(paper, dict):
        return ""
    return f"[{paper.get('authors')} {paper.get('year')}]({paper.get('url')})"


def _json(entry: PluginEntry) -> dict[str, object]:
    return {
        "kind": entry.kind,
        "name": entry.name,
        "provider": entry.provider,
        "version": entry.version,
        "target": entry.target,
        **entry.card,
    }
