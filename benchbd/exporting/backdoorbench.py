"""The writer of an attack result in the layout of SCLBD/BackdoorBench: `attack_result.pt`, and a
PNG file for every changed image.

Paths inside are relative, as that tool writes them: `./record/NAME/bd_train_dataset/<true
class>/<place>.png`. Entries are added that it ignores: the normalisation, the places of the
bystanders in the test set, and the seed, which `benchbd import backdoorbench` reads again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy
import torch
from PIL import Image
from torch import Tensor

from benchbd.attack.poisoning import PoisoningAttack
from benchbd.errors import ConfigError
from benchbd.importing.architecture import released
from benchbd.importing.backdoorbench import (
    COSINE,
    FOREIGN_ATTACK_FILE,
    RECIPE_FIELDS,
    normalisations,
)
from benchbd.importing.changed_images import TEST_TREE, TRAIN_TREE
from benchbd.record.attack_files import MANIFEST_FILE
from benchbd.record.attack_result import AttackResult, rebuild
from benchbd.record.defense_result import CELL_FILE
from benchbd.record.files import write, write_text
from benchbd.victim.model import Model


def write_result(folder: Path, attack: AttackResult) -> list[Path]:
    """Write the layout to `folder`. Raises `ConfigError` for a result that it cannot express, or a
    folder of our own results.
    """
    plugin = rebuild(Model, attack.manifest.model, attack.manifest.found_as)
    _require_expressible(plugin, attack)
    _require_room(folder)
    train, triggered = attack.train, attack.triggered
    height, width = train.clean.image_shape[1:]
    origin = attack.manifest.imported or {}
    content = {
        "model_name": plugin.foreign_name,
        "num_classes": train.clean.num_classes,
        "model": released(plugin, attack.model.network),
        "data_path": origin.get("data_path") or f"./data/{attack.manifest.dataset.name}",
        "img_size": (height, width, train.clean.image_shape[0]),
        "clean_data": origin.get("clean_data", attack.manifest.dataset.name),
        "bd_train": None,
        "bd_test": _table(
            folder,
            TEST_TREE,
            triggered.indices,
            triggered.attacked_labels,
            triggered.true_labels,
            len(attack.test),
        ),
        "normalisation": [
            attack.model.mean.flatten().tolist(),
            attack.model.std.flatten().tolist(),
        ],
        "bystanders": triggered.indices[~triggered.scored].tolist(),
        "seed": attack.seed,
    }
    _write_images(folder / TEST_TREE, triggered.indices, triggered.true_labels, triggered.images)
    if len(train.indices):
        true = train.clean.labels[train.indices]
        content["bd_train"] = _table(
            folder, TRAIN_TREE, train.indices, train.labels, true, len(train)
        )
        _write_images(folder / TRAIN_TREE, train.indices, true, train.images)
    elif attack.manifest.family == PoisoningAttack.family:
        content["bd_train"] = _table(
            folder, TRAIN_TREE, train.indices, train.labels, train.labels, len(train)
        )
    called = origin.get("called", attack.manifest.attack.name)
    info = {
        "attack": called,
        "dataset": content["clean_data"],
        "amp": False,
        **_options(attack.manifest.recipe),
    }
    return [
        write(folder / FOREIGN_ATTACK_FILE, lambda file: torch.save(content, file)),
        write(folder / "info.pickle", lambda file: torch.save(info, file)),
        write_text(folder / "attack_df_summary.csv", _summary(attack)),
    ]


def differing_normalisation(attack: AttackResult) -> str | None:
    """Return a sentence if BackdoorBench would normalise the images of this result in another way
    than its model expects; else an empty text.
    """
    name = str((attack.manifest.imported or {}).get("clean_data", attack.manifest.dataset.name))
    mean, std = (values.flatten().tolist() for values in (attack.model.mean, attack.model.std))
    theirs = normalisations().get(name)
    if theirs is None:
        return (
            f"BackdoorBench has no data set {name!r}: its own scripts cannot read this result, "
            "`benchbd import` can"
        )
    if all(
        numpy.allclose(here, there, atol=1e-6)
        for here, there in zip((mean, std), theirs, strict=True)
    ):
        return None
    differing = (
        f"BackdoorBench normalises {name} by {theirs[0]} and {theirs[1]}, this model expects "
        f"{mean} and {std}"
    )
    return f"{differing}: its figures will differ"


def _require_expressible(plugin: Model, attack: AttackResult) -> None:
    if plugin.foreign_name is None:
        raise ConfigError(
            f"BackdoorBench has no model like {plugin.name}, so it could not read the result"
        )
    if not bool(attack.triggered.paired.all()) or not attack.triggered.is_true_known:
        raise ConfigError(
            "BackdoorBench keeps triggered images by their place in the test set, which is not "
            "known of these"
        )


def _require_room(folder: Path) -> None:
    """Raise `ConfigError` where the files would replace a result of our own, whose files have the
    same names.
    """
    if (
        (folder / MANIFEST_FILE).exists()
        or any(folder.glob(f"defense/*/{CELL_FILE}"))
        or (folder / CELL_FILE).exists()
    ):
        raise ConfigError(
            f"{folder} holds results of benchbd, which would be written over; choose another --out"
        )


def _options(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recipe, as far as BackdoorBench has options for it."""
    options = {theirs: recipe[name] for name, theirs in RECIPE_FIELDS.items()}
    return options | ({"lr_scheduler": COSINE} if recipe["schedule"] == "cosine" else {})


def _table(
    folder: Path, tree: str, places: Tensor, given: Tensor, true: Tensor, count: int
) -> dict[str, Any]:
    """Return one of the two tables of changed images."""
    where = f"./record/{folder.name}/{tree}"
    indicator = numpy.zeros(count)
    indicator[places.numpy()] = 1
    rows = zip(places.tolist(), given.tolist(), true.tolist(), strict=True)
    return {
        "bd_data_container": {
            "save_folder_path": where,
            "data_dict": {
                place: {"path": f"{where}/{label}/{place}.png", "other_info": [attacked, label]}
                for place, attacked, label in rows
            },
            "save_file_format": ".png",
        },
        "getitem_all": True,
        "getitem_all_switch": False,
        "original_index_array": places.numpy() if tree == TEST_TREE else numpy.arange(count),
        "poison_indicator": indicator,
        "save_folder_path": where,
    }


def _write_images(tree: Path, places: Tensor, true: Tensor, images: Tensor) -> None:
    for file, picture in _pictures(tree, places, true, images):
        write(file, lambda opened, picture=picture: picture.save(opened, format="PNG"))  # type: ignore[misc]


def _pictures(
    tree: Path, places: Tensor, true: Tensor, images: Tensor
) -> Iterator[tuple[Path, Image.Image]]:
    for place, label, image in zip(places.tolist(), true.tolist(), images, strict=True):
        pixels = image[0] if len(image) == 1 else image.permute(1, 2, 0)
        yield tree / str(label) / f"{place}.png", Image.fromarray(pixels.contiguous().numpy())


def _summary(attack: AttackResult) -> str:
    """Return the metrics of the model, as that tool reports them after its last epoch."""
    metrics, text = attack.metrics(), io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["", "test_acc", "test_asr", "test_ra"])
    writer.writerow(["last", metrics.acc, metrics.asr, metrics.rc])
    return text.getvalue()
