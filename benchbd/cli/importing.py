"""`benchbd import`: it reads results of other tools, foreign checkpoints, and the Keras
exercise.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchbd.cli.seed import SEED

if TYPE_CHECKING:
    from benchbd.data.images import ImageSet
    from benchbd.record.attack_result import AttackResult

LEAST_CORRELATION = 0.3
"""Correlation of triggered with clean images below which they are probably not the same images.
Under half of another image it is still 0.7.
"""

SOME_PATH = click.Path(path_type=Path)


@click.group()
def command() -> None:
    """Turn a foreign result into an attack result under record/, on which `benchbd run
    --result-file NAME` works.

    Nothing in a foreign file is run: what is more than tensors, numbers and texts is refused.
    """


def _stored_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say where the result is stored, and how it is shown."""
    for option in (
        click.option(
            "--name", help="Folder of the result under record/; default: the name of what is read."
        ),
        click.option(
            "--seed",
            type=SEED,
            help="Seed of the defenses to come; default: the exported one, else 0.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
    ):
        function = option(function)
    return function


def _clean_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say where the clean images come from."""
    for option in (
        click.option(
            "--dataset",
            required=True,
            help="Data set plugin with the clean images; `benchbd list datasets` shows all.",
        ),
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="KIND.PARAM=VALUE",
            help="Such as dataset.path=FOLDER.",
        ),
    ):
        function = option(function)
    return function


@command.command("backdoorbench", short_help="A result folder of SCLBD/BackdoorBench.")
@click.argument("folder", type=SOME_PATH)
@_clean_options
@_stored_options
def _backdoorbench(
    folder: Path,
    dataset: str,
    settings: tuple[str, ...],
    name: str | None,
    seed: int | None,
    as_json: bool,
) -> None:
    """Read the result of SCLBD/BackdoorBench in FOLDER (or a zip archive of it), and the defenses
    below it.

    The result names its data set and holds none of the clean images: --dataset gives the same
    images in the same order.
    """
    from benchbd.importing.archive import as_folder
    from benchbd.importing.assemble import keep
    from benchbd.importing.backdoorbench import (
        BACKDOORBENCH,
        find_attack,
        find_defenses,
        read_attack,
        read_defense,
    )
    from benchbd.importing.defended import keep_defended

    train, test = _splits(dataset, settings)
    with as_folder(folder) as laid_out:
        path = find_attack(laid_out)
        found = read_attack(path, train, test, seed)
        attack = keep(
            found, name or (path.parent.resolve().name if folder.is_dir() else folder.stem)
        )
        defended = [
            keep_defended(attack, called, BACKDOORBENCH, read_defense(file)[1])
            for called, file in find_defenses(laid_out).items()
        ]
    _show(
        attack,
        as_json,
        {each.cell.cell.defense.params["called"]: each.cell.to_json() for each in defended},
    )


@command.command("checkpoint", short_help="A model that nobody attacked here.")
@click.argument("file", type=SOME_PATH)
@click.option(
    "--model",
    required=True,
    help="Architecture of the model, such as timm:NAME; `benchbd list models` shows all.",
)
@click.option(
    "--num-classes",
    type=click.IntRange(2, 65_000),
    help="Classes that the model tells apart, as a check.",
)
@click.option(
    "--mean",
    help="Mean of each channel that the model was trained with, such as 0.49,0.48,0.45.  "
    "[default: 0]",
)
@click.option("--std", help="Standard deviation of each channel.  [default: 1]")
@click.option(
    "--prefix",
    help="What stands before the names of the parameters, such as model.; default: found.",
)
@click.option(
    "--at",
    metavar="PLACE",
    help="Table of parameters in the file, such as checkpoint.state_dict; default: found.",
)
@click.option(
    "--triggered",
    type=SOME_PATH,
    help="Triggered images, in folders by true class, or all in one folder.",
)
@click.option(
    "--target", help="The class, by name or number, that triggered images should be taken for."
)
@_clean_options
@_stored_options
def _checkpoint(
    file: Path,
    model: str,
    num_classes: int | None,
    mean: str | None,
    std: str | None,
    prefix: str | None,
    at: str | None,
    triggered: Path | None,
    target: str | None,
    dataset: str,
    settings: tuple[str, ...],
    **kept: Any,
) -> None:
    """Read a model that nobody attacked here from FILE, a .pt or .safetensors file of its
    parameters.

    The training split of --dataset is the defender's, all of it; the test split is what accuracy is
    measured on.
    """
    from benchbd.errors import ConfigError
    from benchbd.importing.assemble import keep
    from benchbd.importing.checkpoint import read_checkpoint, read_triggered

    if (triggered is None) != (target is None):
        raise ConfigError(
            "--triggered and --target go together: the images, and the class that they should be "
            "taken for"
        )
    train, test = _splits(dataset, settings)
    if num_classes is not None and num_classes != train.num_classes:
        raise ConfigError(
            f"the model has {num_classes} classes, the clean images have {train.num_classes}; "
            "choose others"
        )
    seen = (
        read_triggered(triggered, test, target)
        if triggered is not None and target is not None
        else None
    )
    statistics = (
        None
        if mean is None and std is None
        else (_numbers(mean or "0", train), _numbers(std or "1", train))
    )
    plugin = _plugin("model", model, settings)
    found = read_checkpoint(
        file, plugin, (train, test), seen, statistics, kept["seed"] or 0, prefix, at
    )
    _show(keep(found, kept["name"] or file.stem), kept["as_json"])


@command.command("keras", short_help="The pruning exercise on a face recogniser.")
@click.option("--weights", required=True, type=SOME_PATH, help="Keras 2 weights, HDF5.")
@click.option(
    "--clean-validation",
    required=True,
    type=SOME_PATH,
    help="Clean images that the defender holds, HDF5.",
)
@click.option(
    "--clean-test", required=True, type=SOME_PATH, help="Clean images to measure accuracy on, HDF5."
)
@click.option(
    "--poisoned-validation",
    type=SOME_PATH,
    help="Triggered images, on which the attack is measured once more.",
)
@click.option(
    "--poisoned-test", type=SOME_PATH, help="Triggered images to measure attack success on, HDF5."
)
@click.option(
    "--model",
    help="Architecture; default: the one whose card says that Keras files are made for it.",
)
@_stored_options
def _keras(
    model: str | None, name: str | None, seed: int | None, as_json: bool, **files: Path | None
) -> None:
    """Read the pruning exercise on a backdoored face recogniser: weights and images in HDF5."""
    from benchbd.importing.assemble import keep
    from benchbd.importing.keras import KerasExercise, read_exercise

    exercise = KerasExercise(**files)  # type: ignore[arg-type]
    found = read_exercise(exercise, _plugin("model", model, ()) if model else None, seed or 0)
    _show(keep(found, name or exercise.weights.stem), as_json)


def _splits(dataset: str, settings: tuple[str, ...]) -> tuple[ImageSet, ImageSet]:
    plugin = _plugin("dataset", dataset, settings)
    return plugin.load("train"), plugin.load("test")


def _plugin(kind: str, name: str, settings: tuple[str, ...]) -> Any:
    """Return a plugin with the parameters that `--set` gives it. Raises `ConfigError` for a
    parameter that does not exist.
    """
    from benchbd.errors import ConfigError
    from benchbd.plugin.registry import create, load

    cls, values = load(kind, name), {}
    for text in settings:
        key, sign, value = text.partition("=")
        owner, _, parameter = key.strip().partition(".")
        if not sign or owner not in ("dataset", "model"):
            raise ConfigError(f"expected dataset.PARAM=VALUE or model.PARAM=VALUE, got {text!r}")
        if owner == kind:
            values[parameter] = cls.parse(parameter, value.strip())
    return create(kind, name, values)


def _numbers(text: str, images: ImageSet) -> tuple[float, ...]:
    """Return one number for each channel. Raises `ConfigError`."""
    from benchbd.errors import ConfigError

    try:
        given = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"expected numbers with commas between them, got {text!r}") from None
    return given * images.image_shape[0] if len(given) == 1 else given


def _show(attack: AttackResult, as_json: bool, defended: dict[str, Any] | None = None) -> None:
    came, metrics = attack.manifest.imported, attack.metrics()
    if as_json:
        told = {
            "folder": str(attack.folder),
            "metrics": metrics.model_dump(),
            "counts": attack.counts().model_dump(),
        }
        click.echo(json.dumps(told | {"imported": came, "defenses": defended or {}}))
        return
    from rich.console import Console

    from benchbd.record.cell import Cell
    from benchbd.report.table import AttackSummary, cells_table

    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    undefended = AttackSummary.of(attack, reused=False)
    cells = [Cell.model_validate(cell) for cell in (defended or {}).values()]
    console.print(undefended.header)
    console.print(cells_table([(undefended, cells)], console.width))
    for line in (*_compared(attack), *undefended.notes):
        console.print(line, markup=False)
    console.print(
        f"stored; go on with: benchbd run --result-file {attack.folder} --defense NAME",
        markup=False,
    )


def _compared(attack: AttackResult) -> list[str]:
    """Return lines that compare what the other tool reported for the same model with what was
    measured here, as numbers of images.
    """
    came, counts = attack.manifest.imported or {}, attack.counts()
    here = {"acc": (counts.clean_hits, counts.clean), "asr": (counts.attack_hits, counts.triggered)}
    if counts.true_hits is not None:
        here["rc"] = (counts.true_hits, counts.triggered)
    lines = [
        f"{name.upper()} reported by {came['format']}: {100 * share:.1f} %, "
        f"{round(share * here[name][1])} images; "
        f"measured here: {here[name][0]}"
        for name, share in came["reported"].items()
        if name in here
    ]
    if came.get("resemblance") is not None and came["resemblance"] < LEAST_CORRELATION:
        lines.append(
            "the triggered images do not resemble the clean ones at their places: are these the "
            "same images in the same order? If so, the trigger hides what they show"
        )
    if seen := came.get("poisoned_validation"):
        lines.append(
            "attack success on the poisoned validation file: "
            f"{seen['attack_hits']}/{seen['images']}"
        )
    outline = attack.manifest.outline
    shown = (", ".join(f"{value:.4g}" for value in each) for each in (outline.mean, outline.std))
    return [*lines, "images enter as [0, 1], normalised by mean {} and deviation {}".format(*shown)]
