"""`benchbd export`: it writes results and models for other tools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from benchbd.exporting.chosen import ExportedModel

SOME_PATH = click.Path(path_type=Path)


@click.group()
def command() -> None:
    """Write the attack result NAME (a name under record/, or a path), or a model of it, for other
    tools.
    """


def _model_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose a model of the result."""
    for option in (
        click.argument("name"),
        click.option(
            "--defense",
            help="The defense whose model is exported; default: the only one that is stored.",
        ),
        click.option("--kept", help='One of the models that its sweep kept, such as "2%".'),
        click.option("--undefended", is_flag=True, help="The backdoored model."),
        click.option("--out", type=SOME_PATH, help="File to write; default: beside the result."),
    ):
        function = option(function)
    return function


@command.command("safetensors")
@_model_options
def _safetensors(out: Path | None, name: str, **choice: str | bool | None) -> None:
    """Parameters in a safetensors file, from which `benchbd.load_model` builds the model again."""
    from benchbd.exporting.weights import write_weights

    chosen, folder = _chosen(name, **choice)
    _tell(write_weights(out or folder / f"{chosen.name}.safetensors", chosen), chosen)


@command.command("onnx")
@_model_options
def _onnx(out: Path | None, name: str, **choice: str | bool | None) -> None:
    """An ONNX graph: `images` (N, C, H, W) in [0, 1] to `logits` (N, K), normalisation included."""
    from benchbd.exporting.onnx_graph import write_graph

    chosen, folder = _chosen(name, **choice)
    _tell(write_graph(out or folder / f"{chosen.name}.onnx", chosen), chosen)


@command.command("backdoorbench")
@click.argument("name")
@click.option(
    "--out", type=SOME_PATH, help="Folder to write; default: backdoorbench beside the result."
)
def _backdoorbench(name: str, out: Path | None) -> None:
    """The attack result as SCLBD/BackdoorBench stores it: attack_result.pt and trees of
    PNG files.
    """
    from benchbd.exporting.backdoorbench import differing_normalisation, write_result
    from benchbd.record.attack_result import load_attack_result

    attack = load_attack_result(name)
    folder = out or attack.folder / "backdoorbench"
    for path in write_result(folder, attack):
        click.echo(f"written: {path}")
    click.echo(f"images: {len(attack.train.indices)} in training, {len(attack.triggered)} in test")
    if warning := differing_normalisation(attack):
        click.echo(warning)


def _chosen(name: str, **choice: str | bool | None) -> tuple[ExportedModel, Path]:
    from benchbd.exporting.chosen import choose
    from benchbd.record.attack_result import load_attack_result

    attack = load_attack_result(name)
    return choose(attack, **choice), attack.folder  # type: ignore[arg-type]


def _tell(path: Path, chosen: ExportedModel) -> None:
    outline = chosen.about["outline"]
    shape = " x ".join(map(str, outline["image_shape"]))
    click.echo(f"written: {path} ({path.stat().st_size:,} bytes)")
    click.echo(
        f"{chosen.about['model']['name']}, {chosen.name}: images {shape} in [0, 1] to "
        f"{outline['num_classes']} logits"
    )
