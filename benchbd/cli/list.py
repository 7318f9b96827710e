"""`benchbd list`: names and summaries, from package metadata and registry files alone."""

from __future__ import annotations

import json

import click

from benchbd.cli.kind import Kind
from benchbd.markdown import markdown_table
from benchbd.plugin.entry import KINDS, PluginEntry
from benchbd.plugin.registry import entries

PLURALS = {f"{kind}s": kind for kind in KINDS} | {kind: kind for kind in KINDS}


@click.command()
@click.argument(
    "kind",
    required=False,
    type=Kind(list(PLURALS)),
    metavar="[attacks|defenses|models|datasets|executors]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
@click.option("--markdown", is_flag=True, help="Print Markdown tables.")
def command(kind: str | None, as_json: bool, markdown: bool) -> None:
    """List plugins by kind, all kinds without an argument. Nothing of them is imported."""
    kinds = [PLURALS[kind]] if kind else list(KINDS)
    if markdown:
        click.echo("\n\n".join(plugin_table(each, entries(each)) for each in kinds))
        return
    if as_json:
        click.echo(
            json.dumps([_json(entry) for each in kinds for entry in entries(each)], indent=1)
        )
        return
    for each in kinds:
        _print(each, entries(each))


def _print(kind: str, found: tuple[PluginEntry, ...]) -> None:
    click.secho(f"{kind}s", bold=True)
    width = max((len(entry.name) for entry in found), default=0)
    family = max((len(entry.family) for entry in found), default=0)
    lines = []
    for entry in found:
        origin = "" if entry.provider == "benchbd" else f"  [{entry.provider}]"
        lines.append(f"  {entry.name:{width}}  {entry.family:{family}}  {entry.summary}{origin}\n")
    click.echo("".join(lines))


def plugin_table(kind: str, found: tuple[PluginEntry, ...]) -> str:
    """The plugins of a kind as a Markdown table, with their papers."""
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
