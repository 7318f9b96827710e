"""The reader of results of SCLBD/BackdoorBench: `attack_result.pt` with its trees of PNG files, and
`defense_result.pt`.

A result names its data set and holds none of the clean images, so these come from a data set on
this machine.
"""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from torch import Tensor

from benchbd.arguments import MAX_SEED
from benchbd.attack.poisoning import PoisoningAttack
from benchbd.attack.training_controlled import TrainingControlledAttack
from benchbd.data.images import ImageSet
from benchbd.data.poisoned import TriggeredSet
from benchbd.engine.recipe import Recipe
from benchbd.errors import ConfigError, DataError, DataNote, RecordError
from benchbd.importing.architecture import Statistics, are_usable, require_state, restored_by_name
from benchbd.importing.assemble import ForeignResult
from benchbd.importing.changed_images import (
    TRAIN_TREE,
    poisoned_images,
    resemblance,
    triggered_images,
)
from benchbd.importing.foreign_pickle import read_foreign
from benchbd.importing.pictures import scaled
from benchbd.options import parse_yaml
from benchbd.record.files import require_ordinary
from benchbd.record.keys import MODEL_ONLY

FOREIGN_ATTACK_FILE, FOREIGN_DEFENSE_FILE = "attack_result.pt", "defense_result.pt"
BACKDOORBENCH = "BackdoorBench"
KEYS = ("model_name", "num_classes", "model", "img_size", "clean_data", "bd_train", "bd_test")
RECIPE_FIELDS = {
    "epochs": "epochs",
    "batch_size": "batch_size",
    "lr": "lr",
    "momentum": "sgd_momentum",
    "weight_decay": "wd",
}
"""The names that BackdoorBench gives to the options of a recipe."""

COSINE = "CosineAnnealingLR"
MAX_REPORT_BYTES = 2**22
"""The size of the largest table of reported numbers that is read."""


def find_attack(folder: Path) -> Path:
    """Return the attack result in `folder`, or in the folders above where `folder` holds a defense.
    Raises `RecordError`.
    """
    for place in (folder, *folder.resolve().parents[:2]):
        if (place / FOREIGN_ATTACK_FILE).is_file():
            return place / FOREIGN_ATTACK_FILE
        if not (folder / FOREIGN_DEFENSE_FILE).is_file():
            break
    raise RecordError(
        f"no {FOREIGN_ATTACK_FILE} in {folder}; name the folder of a BackdoorBench result, such as "
        "record/NAME"
    )


def find_defenses(folder: Path) -> dict[str, Path]:
    """Return the results of defenses in `folder` or below `folder/defense`, by the name of their
    folder.
    """
    found = [
        *folder.glob(FOREIGN_DEFENSE_FILE),
        *sorted(folder.glob(f"defense/*/{FOREIGN_DEFENSE_FILE}")),
    ]
    return {
        path.parent.resolve().name: path
        for path in found
        if path.resolve().is_relative_to(folder.resolve())
    }


def read_attack(
    path: Path, train: ImageSet, test: ImageSet, seed: int | None = None
) -> ForeignResult:
    """Return the attack result at `path`, which was made from these clean images. Raises
    `RecordError` or `DataError`.

    seed: for the defenses to come; if unset, that of a result that was exported by benchbd, else 0.
    """
    content = read_foreign(path)
    absent = [key for key in KEYS if key not in content]
    if absent:
        raise RecordError(
            f"{path} is no attack result of BackdoorBench: it lacks {', '.join(absent)}"
        )
    train, test = _sized(train, content["img_size"], path), _sized(test, content["img_size"], path)
    if content["num_classes"] != train.num_classes:
        raise DataError(
            f"{path} is for {content['num_classes']} classes, the clean data have "
            f"{train.num_classes}; choose others"
        )
    statistics = _statistics(content, train)
    plugin, model = restored_by_name(
        str(content["model_name"]), require_state(content["model"], str(path)), train, statistics
    )
    info, triggered = (
        _info(path.parent),
        triggered_images(path, content["bd_test"], test, content.get("bystanders", ())),
    )
    called = _name(info.get("attack", "unknown"))
    family, listed = _training(path, content["bd_train"], called)
    poisoned = poisoned_images(path, listed, train, triggered)
    return ForeignResult(
        format=BACKDOORBENCH,
        called=called,
        family=family,
        plugin=plugin,
        model=model,
        train=poisoned,
        test=test,
        triggered=triggered,
        target=_target(triggered),
        recipe=_recipe(info),
        seed=_own_seed(content, path) if seed is None else seed,
        reported=reported(path.parent / "attack_df_summary.csv"),
        details={
            "resemblance": resemblance(test.images[triggered.indices], triggered.images),
            "clean_data": str(content["clean_data"]),
            "data_path": str(content.get("data_path", "")),
            "img_size": list(content["img_size"]),
        },
    )


def _training(path: Path, listed: Any, called: str) -> tuple[str, Any]:
    """Return the family of the attack, and the list of poisoned training images that can be used.

    Attacks that poison batches store images, too, which are not those that the model saw. Where the
    images of a poisoned set have been deleted, nothing is known of the training set.
    """
    if listed is None or re.sub(r"[^a-z]", "", called.lower()) in training_controlled():
        if listed is not None:
            _note(
                f"{called} controls training; the training images that are stored beside its "
                "result are not those that the model saw, and are not read"
            )
        return TrainingControlledAttack.family, None
    if not (path.parent / TRAIN_TREE).is_dir():
        _note(
            f"there is no {TRAIN_TREE} beside {path}; the result is imported without its "
            "poisoned training set, on which data filters and robust training would work"
        )
        return MODEL_ONLY, None
    return PoisoningAttack.family, listed


def _note(text: str) -> None:
    warnings.warn(text, DataNote, stacklevel=4)


def training_controlled() -> frozenset[str]:
    """Return what BackdoorBench calls its attacks that poison batches while they train."""
    return frozenset(_packaged("training_controlled.yaml"))


def read_defense(path: Path) -> tuple[str, dict[str, Tensor]]:
    """Return the name of the architecture and the parameters of a defended model."""
    content = read_foreign(path)
    return str(content.get("model_name", "")), require_state(content.get("model"), str(path))


def reported(path: Path) -> dict[str, float]:
    """Return ACC, ASR and RC that the other tool measured after its last epoch. A missing metric is
    left out.
    """
    try:
        require_ordinary(path, MAX_REPORT_BYTES)
        with path.open(encoding="utf-8", newline="") as file:
            rows = {row.get("", ""): row for row in csv.DictReader(file)}
    except (RecordError, OSError, UnicodeDecodeError, csv.Error):
        return {}
    last = rows.get("last", {})
    columns = {"acc": "test_acc", "asr": "test_asr", "rc": "test_ra"}
    return {
        name: share
        for name, column in columns.items()
        if (share := _share(last.get(column))) is not None
    }


def _share(text: object) -> float | None:
    try:
        share = float(str(text))
    except ValueError:
        return None
    return share if 0 <= share <= 1 else None


def normalisations() -> dict[str, Statistics]:
    """Return the mean and the standard deviation by the name of a data set in BackdoorBench."""
    return {
        name: (tuple(map(float, mean)), tuple(map(float, std)))
        for name, (mean, std) in _packaged("normalisations.yaml").items()
    }


def _packaged(name: str) -> Any:
    """Return the content of a file that lies beside this module."""
    text = resources.files("benchbd.importing").joinpath(name).read_text("utf-8")
    return parse_yaml(text, name)


def _statistics(content: Mapping[str, Any], images: ImageSet) -> Statistics:
    """Return the normalisation that the file states (if benchbd exported it), or else the one that
    BackdoorBench uses for that data set.
    """
    channels, name = images.image_shape[0], str(content["clean_data"])
    own = content.get("normalisation")
    mean, std = (
        own
        if isinstance(own, list | tuple) and len(own) == 2
        else normalisations().get(name, ((0.0,), (1.0,)))
    )
    try:
        mean, std = (
            tuple(map(float, values)) * (channels if len(values) == 1 else 1)
            for values in (mean, std)
        )
    except (TypeError, ValueError):
        mean = std = ()
    if not are_usable((mean, std), channels):
        raise DataError(
            f"the normalisation of {name!r} is no mean and positive deviation for each of the "
            f"{channels} channels of the clean data"
        )
    return mean, std


def _own_seed(content: Mapping[str, Any], path: Path) -> int:
    """Return the seed that a result states if benchbd exported it."""
    seed = content.get("seed", 0)
    if not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise RecordError(
            f"{path}: expected its seed to be a whole number from 0 to {MAX_SEED}, got {seed!r:.40}"
        )
    return int(seed)


def _sized(images: ImageSet, size: Any, path: Path) -> ImageSet:
    """Return the images at the size that the model was trained on."""
    if (
        not isinstance(size, list | tuple)
        or len(size) != 3
        or not all(isinstance(n, int) and 0 < n <= 4096 for n in size)
    ):
        raise RecordError(
            f"{path}: expected img_size to be height, width and channels, got {size!r}"
        )
    height, width, channels = size
    if images.image_shape[0] != channels:
        raise DataError(
            f"{path} is for images of {channels} channels, the clean data have "
            f"{images.image_shape[0]}"
        )
    return ImageSet(scaled(images.images, height, width), images.labels, images.class_names)


def _target(triggered: TriggeredSet) -> int:
    """Return the attacked class, or the first of several; None where there is none."""
    return int(triggered.attacked_labels.min()) if len(triggered) else 0


def _info(folder: Path) -> dict[str, Any]:
    """Return the options that BackdoorBench ran with, which lie beside some results."""
    try:
        return read_foreign(folder / "info.pickle")
    except RecordError:
        return {}


def _name(text: object) -> str:
    """Return a name from a foreign file in a form that may be shown."""
    return re.sub(r"[^A-Za-z0-9_.+ -]", "_", str(text))[:60]


def _recipe(info: Mapping[str, Any]) -> Recipe:
    """Return the recipe of the victim, as far as the file states it. It is used where a defense
    trains again.
    """
    known = {
        name: info[theirs]
        for name, theirs in RECIPE_FIELDS.items()
        if isinstance(info.get(theirs), int | float)
    }
    if info.get("lr_scheduler") == COSINE:
        known["schedule"] = "cosine"
    try:
        return Recipe(precision="fp32", **known)
    except ConfigError:
        # a value beyond what a recipe allows: nothing of the rest is believed either
        return Recipe(precision="fp32")
