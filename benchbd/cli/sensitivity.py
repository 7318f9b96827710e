"""`benchbd sensitivity`: how much a defense's numbers hang on its hyper-parameters."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchbd.cli.seed import SEED
from benchbd.running.options import PROTOCOL

if TYPE_CHECKING:
    from benchbd.matrices.sensitivity import Stability
    from benchbd.running.protocol import Protocol


@click.command()
@click.argument("defense", metavar="defense.NAME")
@click.option(
    "--attack",
    default=None,
    help="The attack that it meets.  [default: the protocol's first that poisons]",
)
@click.option(
    "--protocol",
    default=PROTOCOL,
    show_default=True,
    help="Where data, model, recipe and budget come from.",
)
@click.option(
    "--seed",
    "seeds",
    multiple=True,
    type=SEED,
    default=(0,),
    show_default=True,
    help="May be given several times.",
)
@click.option("--executor", default="local", show_default=True, help="Where stages run.")
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("sensitivity"),
    show_default=True,
    help="Folder.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    defense: str,
    attack: str | None,
    protocol: str,
    seeds: tuple[int, ...],
    executor: str,
    results: Path,
    as_json: bool,
) -> None:
    """Vary each hyper-parameter of a defense over its declared range, the others kept, and score
    how much it matters.

    The score is the mean absolute change of ACC and ASR in points. Runs like a matrix: the same
    command goes on where it was interrupted.
    """
    from benchbd.cli.matrix_view import LiveView
    from benchbd.executing.executor import open_executor
    from benchbd.matrices.matrix import Matrix
    from benchbd.matrices.sensitivity import stabilities, study
    from benchbd.plugin.registry import create
    from benchbd.running.protocol import load_protocol

    base, name = load_protocol(protocol), defense.removeprefix("defense.")
    studied = study(base, attack or _first_attack(base), name).model_copy(update={"seeds": seeds})
    matrix = Matrix(studied, results=results)
    with LiveView() as view, open_executor(executor, {}, matrix.limits(None, None)) as session:
        matrix.run(session, view.update)
    found = stabilities(matrix.cells(), create("defense", name, base.params_of("defense", name)))
    if as_json:
        from dataclasses import asdict

        click.echo(json.dumps({"defense": name, "parameters": [asdict(each) for each in found]}))
        return
    _show(name, studied.attacks[0].name, found, results)


def _first_attack(protocol: Protocol) -> str:
    from benchbd.errors import ConfigError
    from benchbd.plugin.registry import create

    for choice in protocol.attacks:
        if getattr(create("attack", choice.name, choice.params), "poison_ratio", 0):
            return choice.name
    raise ConfigError(f"{protocol.name} has no attack that poisons; name one with --attack")


def _show(name: str, attack: str, found: list[Stability], results: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from benchbd.measure.shares import percent
    from benchbd.report.sensitivity import draw_sensitivity

    table = Table(title=f"{name} against {attack}", title_justify="left", header_style="bold")
    for heading in ("parameter", "score", "value", "ACC %", "ASR %", "seeds"):
        table.add_column(heading, justify="left" if heading == "parameter" else "right")
    for each in found:
        for place, point in enumerate(each.points):
            value = f"{point.value} (own)" if point.value == each.own else str(point.value)
            head = (each.parameter, percent(each.score)) if not place else ("", "")
            table.add_row(
                *head,
                value,
                percent(point.acc),
                percent(point.asr),
                str(point.measured),
                end_section=point is each.points[-1],
            )
    Console(width=None if sys.stdout.isatty() else 100).print(table)
    path = draw_sensitivity(
        f"{name} against {attack}: score and course of each parameter",
        found,
        results / f"{Path(name).stem}.png",
    )
    click.echo(f"written: {path}")
