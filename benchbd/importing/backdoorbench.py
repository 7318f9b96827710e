"""Results of SCLBD/BackdoorBench: `attack_result.pt` with its trees of PNG files, and `defense_result.pt`.

A result names its data set and where it lay, and holds none of the clean images, so these come from a data set at hand.
Of the poisoned and the triggered images it holds the places in that data set, their labels and the paths of PNG files; only
the last two parts of a path count here, class folder and file name, and are looked up in the folder of the result.

Cover samples are not marked. An image that was poisoned and kept its label is one where the attack gives other images of
its class another label; where it gives none, as in clean-label attacks and for the target class itself, it counts as poisoned.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

import torch
import yaml
from numpy.typing import NDArray
from torch import Tensor

from benchbd.attack.poisoning import PoisoningAttack
from benchbd.attack.training_controlled import TrainingControlledAttack, nothing_poisoned
from benchbd.data.images import ImageSet
from benchbd.data.poisoned import PoisonedSet, State, TriggeredSet
from benchbd.engine.recipe import Recipe
from benchbd.errors import ConfigError, DataError, RecordError
from benchbd.importing.architecture import Statistics, require_state, restored_by_name
from benchbd.importing.assemble import Found
from benchbd.importing.foreign_pickle import read_foreign
from benchbd.importing.pictures import inside, read_pictures, scaled
from benchbd.record.files import require_ordinary

ATTACK_FILE, DEFENSE_FILE = "attack_result.pt", "defense_result.pt"
FORMAT = "BackdoorBench"
KEYS = ("model_name", "num_classes", "model", "img_size", "clean_data", "bd_train", "bd_test")
MOST_BYTES = 2**22
"""The longest table of reported numbers that is read."""


def find_attack(folder: Path) -> Path:
    """The attack result in `folder`, or in the folders above where `folder` holds a defense. Raises `RecordError`."""
    for place in (folder, folder.parent, folder.parent.parent):
        if (place / ATTACK_FILE).is_file():
            return place / ATTACK_FILE
        if not (folder / DEFENSE_FILE).is_file():
            break
    raise RecordError(f"no {ATTACK_FILE} in {folder}; name the folder of a BackdoorBench result, such as record/NAME")


def find_defenses(folder: Path) -> dict[str, Path]:
    """Results of defenses in `folder` or below `folder/defense`, by the name of their folder."""
    found = [*folder.glob(DEFENSE_FILE), *sorted(folder.glob(f"defense/*/{DEFENSE_FILE}"))]
    return {path.parent.name: path for path in found if path.resolve().is_relative_to(folder.resolve())}


def read_attack(path: Path, train: ImageSet, test: ImageSet, seed: int = 0) -> Found:
    """The attack result at `path`, which was made from these clean images. Raises `RecordError` or `DataError`."""
    content = read_foreign(path)
    absent = [key for key in KEYS if key not in content]
    if absent:
        raise RecordError(f"{path} is no attack result of BackdoorBench: it lacks {', '.join(absent)}")
    train, test = _sized(train, content["img_size"], path), _sized(test, content["img_size"], path)
    if content["num_classes"] != train.num_classes:
        raise DataError(f"{path} is for {content['num_classes']} classes, the clean data have {train.num_classes}; choose others")
    statistics = _statistics(content, train)
    plugin, model = restored_by_name(str(content["model_name"]), require_state(content["model"], str(path)), train, statistics)
    info, triggered = _info(path.parent), _triggered(path, content["bd_test"], test)
    poisoned = _poisoned(path, content["bd_train"], train, triggered)
    return Found(
        format=FORMAT,
        called=_name(info.get("attack", "unknown")),
        stage=TrainingControlledAttack.stage if content["bd_train"] is None else PoisoningAttack.stage,
        plugin=plugin,
        model=model,
        train=poisoned,
        test=test,
        triggered=triggered,
        target=_target(triggered),
        recipe=_recipe(info),
        seed=seed,
        reported=reported(path.parent / "attack_df_summary.csv"),
        details={
            "resemblance": resemblance(test.images[triggered.indices], triggered.images),
            "clean_data": str(content["clean_data"]),
            "data_path": str(content.get("data_path", "")),
            "img_size": list(content["img_size"]),
        },
    )


def read_defense(path: Path) -> tuple[str, dict[str, Tensor]]:
    """Name of the architecture and parameters of a defended model."""
    content = read_foreign(path)
    return str(content.get("model_name", "")), require_state(content.get("model"), str(path))


def reported(path: Path) -> dict[str, float]:
    """ACC, ASR and RC that the other tool measured after its last epoch; what is not there is left out."""
    try:
        require_ordinary(path, MOST_BYTES)
        with path.open(encoding="utf-8", newline="") as file:
            rows = {row.get("", ""): row for row in csv.DictReader(file)}
    except (RecordError, OSError, UnicodeDecodeError, csv.Error):
        return {}
    last = rows.get("last", {})
    columns = {"acc": "test_acc", "asr": "test_asr", "rc": "test_ra"}
    return {name: share for name, column in columns.items() if (share := _share(last.get(column))) is not None}


def _share(text: object) -> float | None:
    try:
        share = float(str(text))
    except ValueError:
        return None
    return share if 0 <= share <= 1 else None


def normalisations() -> dict[str, Statistics]:
    """Mean and standard deviation by the name of a data set in BackdoorBench."""
    table = yaml.safe_load(resources.files("benchbd.importing").joinpath("normalisations.yaml").read_text())
    return {name: (tuple(map(float, mean)), tuple(map(float, std))) for name, (mean, std) in table.items()}


def _statistics(content: Mapping[str, Any], images: ImageSet) -> Statistics:
    """What the file itself says (one that was exported here), else what BackdoorBench does for that data set."""
    channels, name = images.image_shape[0], str(content["clean_data"])
    own = content.get("normalisation")
    mean, std = own if isinstance(own, list | tuple) and len(own) == 2 else normalisations().get(name, ((0.0,), (1.0,)))
    mean, std = (tuple(map(float, values)) * (channels if len(values) == 1 else 1) for values in (mean, std))
    if len(mean) != channels or len(std) != channels or min(std) <= 0:
        raise DataError(f"the normalisation of {name!r} is for {len(mean)} channels, the clean data have {channels}")
    return mean, std


def _sized(images: ImageSet, size: Any, path: Path) -> ImageSet:
    """The images at the size that the model was trained on."""
    if not isinstance(size, list | tuple) or len(size) != 3 or not all(isinstance(n, int) and 0 < n <= 4096 for n in size):
        raise RecordError(f"{path}: expected img_size to be height, width and channels, got {size!r}")
    height, width, channels = size
    if images.image_shape[0] != channels:
        raise DataError(f"{path} is for images of {channels} channels, the clean data have {images.image_shape[0]}")
    return ImageSet(scaled(images.images, height, width), images.labels, images.class_names)


@dataclass(frozen=True, eq=False)
class _Listed:
    """Changed images: places in the clean set (K,), ascending, given and true labels (K,), and their files."""

    places: Tensor
    given: Tensor
    true: Tensor
    files: list[Path]


def _listed(path: Path, part: Any, clean: ImageSet, tree: str) -> _Listed:
    """The images that a part of the result lists, each held against the clean data."""
    table = part["bd_data_container"]["data_dict"]
    marked = part.get("poison_indicator")
    rows: list[tuple[int, ...]] = []
    files: list[Path] = []
    for place, entry in sorted((_whole(key), entry) for key, entry in table.items()):
        if not 0 <= place < len(clean):
            raise DataError(
                f"{path} changes image {place} of the {tree}, the clean data have {len(clean)}; choose the data it was made from"
            )
        if marked is None or _is_marked(marked, place):
            given, true = (_whole(label) for label in entry["other_info"][:2])
            rows.append((place, given, true))
            files.append(_file(path.parent / tree, str(entry["path"])))
    places, labels, truth = torch.tensor(rows, dtype=torch.int64).reshape(-1, 3).unbind(1)
    listed = _Listed(places, labels, truth, files)
    _require_same_images(path, clean, listed)
    return listed


def _require_same_images(path: Path, clean: ImageSet, listed: _Listed) -> None:
    places, given = listed.places, listed.given
    wrong = int((clean.labels[places] != listed.true).sum())
    if wrong:
        raise DataError(
            f"{path} was made from other images: of {len(places)} labels {wrong} differ from those of the clean data; "
            "give the same data set in the same order (`--dataset`, `--set dataset.PARAM=VALUE`)"
        )
    if len(given) and not 0 <= int(given.min()) <= int(given.max()) < clean.num_classes:
        raise DataError(f"{path} gives labels from {int(given.min())} to {int(given.max())}, there are {clean.num_classes} classes")


def _is_marked(marked: NDArray[Any], place: int) -> bool:
    return place < len(marked) and bool(marked[place])


def _whole(value: Any) -> int:
    """A whole number, as it stands in the table or as a text. Raises `ValueError`."""
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"{value} is no whole number")
    return int(value)


def _file(tree: Path, written: str) -> Path:
    """Where the image lies now: class folder and file name as written, below the tree beside the result."""
    parts = PurePosixPath(written.replace("\\", "/")).parts[-2:]
    return inside(tree, *parts)


def _triggered(path: Path, part: Any, test: ImageSet) -> TriggeredSet:
    """The triggered test images whose true label is not already the attacked one."""
    try:
        listed = _listed(path, part, test, "bd_test_dataset")
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise RecordError(f"{path}: its table of triggered images cannot be used ({type(error).__name__}: {error})") from None
    scored = torch.nonzero(listed.given != listed.true)[:, 0]
    images = read_pictures([listed.files[place] for place in scored.tolist()], test.image_shape)
    return TriggeredSet(listed.places[scored], images, listed.true[scored], listed.given[scored])


def _poisoned(path: Path, part: Any, train: ImageSet, triggered: TriggeredSet) -> PoisonedSet:
    if part is None:
        return nothing_poisoned(train)
    try:
        listed = _listed(path, part, train, "bd_train_dataset")
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise RecordError(f"{path}: its table of poisoned images cannot be used ({type(error).__name__}: {error})") from None
    images = read_pictures(listed.files, train.image_shape)
    kept_label = listed.given == listed.true
    states = torch.full_like(listed.given, State.POISONED, dtype=torch.uint8)
    states[kept_label & _is_relabelled_elsewhere(listed, triggered)] = State.COVER
    return PoisonedSet(train, listed.places, images, listed.given, states)


def _is_relabelled_elsewhere(listed: _Listed, triggered: TriggeredSet) -> Tensor:
    """Of which poisoned images (K,) bool the attack gives others of the same class another label, in training."""
    changed = listed.given != listed.true
    relabelled = set(listed.true[changed].tolist())
    if relabelled:  # a class of which no sample happened to be relabelled in training is judged by the test images
        relabelled |= set(triggered.true_labels.tolist())
    return torch.tensor([label in relabelled for label in listed.true.tolist()], dtype=torch.bool)


def resemblance(clean: Tensor, triggered: Tensor) -> float | None:
    """The median correlation of triggered images (M, C, H, W) with the clean ones at their places; None without any."""
    if not len(clean):
        return None
    rows = [images.flatten(1).double() for images in (clean, triggered)]
    first, second = (row - row.mean(1, keepdim=True) for row in rows)
    scale = (first.norm(dim=1) * second.norm(dim=1)).clamp(min=1e-9)
    return float(((first * second).sum(1) / scale).median())


def _target(triggered: TriggeredSet) -> int:
    """The attacked class, where there is one; the first of several."""
    return int(triggered.attacked_labels.min()) if len(triggered) else 0


def _info(folder: Path) -> dict[str, Any]:
    """The options that BackdoorBench ran with, which lie beside some results."""
    try:
        return read_foreign(folder / "info.pickle")
    except RecordError:
        return {}


def _name(text: object) -> str:
    """A name from a foreign file as it may be shown."""
    return re.sub(r"[^A-Za-z0-9_.+ -]", "_", str(text))[:60]


def _recipe(info: Mapping[str, Any]) -> Recipe:
    """How the victim was trained, as far as it is written down; used where a defense trains again."""
    names = {"epochs": "epochs", "batch_size": "batch_size", "lr": "lr", "momentum": "sgd_momentum", "weight_decay": "wd"}
    known = {name: info[theirs] for name, theirs in names.items() if isinstance(info.get(theirs), int | float)}
    if info.get("lr_scheduler") == "CosineAnnealingLR":
        known["schedule"] = "cosine"
    try:
        return Recipe(precision="fp32", **known)
    except ConfigError:  # a value beyond what a recipe allows: nothing of the rest is believed either
        return Recipe(precision="fp32")
