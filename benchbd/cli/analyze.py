"""`benchbd analyze`: why the numbers of an attack and of defenses are what they are."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from benchbd.cli.declared import add_options, given_options
from benchbd.running.options import AnalyzeOptions

if TYPE_CHECKING:
    from benchbd.running.analyzing import Analyzed


@click.command()
@add_options(AnalyzeOptions)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, the findings.")
@click.option("-q", "--quiet", is_flag=True, help="Print the numbers at the end, and nothing else.")
def command(as_json: bool, quiet: bool, **options: Any) -> None:
    """Look at the models of the attack result NAME, before and after defenses, and at what their
    layers do with the trigger.

    `benchbd list analyses` shows what there is to look at. Numbers, tables and pictures (PNG, SVG,
    PDF) are stored beside the result, and what is stored there already is used again.
    """
    asked = AnalyzeOptions(**given_options(options))
    from benchbd.cli.watching import ProgressView
    from benchbd.plugin.hooks import Observers
    from benchbd.running.analyzing import analyze

    observers = Observers.from_packages()
    with ProgressView(silent=quiet, verbose=False) as watching:
        observers.add(watching)
        found = analyze(asked, observers, watching.say)
    if as_json:
        click.echo(json.dumps({"findings": [each.findings.to_json() for each in found]}))
        return
    for each in found:
        _show(each)
    if not quiet:
        _show_files(found)


def _show(analyzed: Analyzed) -> None:
    """Print the numbers of one analysis, a row for each model, and how to read its pictures."""
    from rich.console import Console

    from benchbd.report.findings_table import findings_table

    console = Console(width=None if sys.stdout.isatty() else 110, highlight=False)
    console.print(findings_table(analyzed.findings))
    for name, caption in analyzed.findings.captions.items():
        console.print(f"{name}: {caption}", markup=False, style="dim")


def _show_files(found: tuple[Analyzed, ...]) -> None:
    click.echo("written:" if not all(each.reused for each in found) else "stored before:")
    for each in found:
        for name in each.findings.files:
            click.echo(f"  {each.folder / name}")
