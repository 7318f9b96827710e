"""The reader of a model that was trained elsewhere: a file of its parameters, with clean images
and, if there are any, triggered ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from benchbd.data.images import ImageSet
from benchbd.data.pictures import is_picture_file
from benchbd.data.poisoned import UNKNOWN_LABEL, TriggeredSet
from benchbd.errors import ConfigError, DataError, RecordError
from benchbd.importing.architecture import Statistics, are_usable, require_state, restored
from benchbd.importing.assemble import ForeignResult, nothing_triggered, only_model
from benchbd.importing.foreign_pickle import read_foreign
from benchbd.importing.pictures import inside, read_pictures
from benchbd.record.files import require_ordinary
from benchbd.record.keys import MODEL_ONLY
from benchbd.victim.model import Model

CHECKPOINT = "a checkpoint"
PLACES = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "parameters")
"""Keys under which training scripts store the parameters in a larger table."""


def read_checkpoint(
    path: Path,
    model: Model,
    clean: tuple[ImageSet, ImageSet],
    triggered: TriggeredSet | None = None,
    statistics: Statistics | None = None,
    seed: int = 0,
) -> ForeignResult:
    """Return the model at `path` with the defender's clean images and the test images. Raises
    `RecordError` or `DataError`.

    statistics: the mean and the standard deviation by which the model normalises its images; if
    unset, those in the file, or else none, so that images enter as [0, 1].
    """
    train, test = clean
    state = read_state(path)
    channels = train.image_shape[0]
    statistics = statistics or _own_statistics(state) or ((0.0,) * channels, (1.0,) * channels)
    if not are_usable(statistics, channels):
        raise ConfigError(
            f"expected a mean and a positive standard deviation for each of {channels} channels, "
            f"got {statistics}"
        )
    fitted = model.fitted(state)
    return ForeignResult(
        format=CHECKPOINT,
        called=path.name,
        family=MODEL_ONLY,
        plugin=fitted,
        model=restored(fitted, state, train, statistics),
        train=only_model(train),
        test=test,
        triggered=triggered or nothing_triggered(test),
        target=int(triggered.attacked_labels[0]) if triggered else 0,
        clean_budget=1.0,
        seed=seed,
        details={"file": path.name},
    )


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the parameters at `path`, a safetensors file or a table of parameters that
    `torch.save` wrote. Raises `RecordError`.
    """
    require_ordinary(path)
    if path.suffix == ".safetensors":
        try:
            return dict(safetensors.torch.load_file(path))
        except SafetensorError as error:
            raise RecordError(f"{path} is damaged, or no safetensors file: {error}") from None
    return require_state(_table(read_foreign(path)), str(path))


def _table(content: dict[Any, Any]) -> Any:
    """Return the table of parameters in what a training script stored."""
    if all(isinstance(value, Tensor) for value in content.values()):
        return content
    return next(
        (content[place] for place in PLACES if isinstance(content.get(place), dict)), content
    )


def _own_statistics(state: dict[str, Tensor]) -> Statistics | None:
    """Return the normalisation that benchbd stores with a model."""
    if {"mean", "std"} <= state.keys() and state["mean"].ndim == 3:
        mean, std = (tuple(state[name].flatten().tolist()) for name in ("mean", "std"))
        return mean, std
    return None


def read_triggered(folder: Path, test: ImageSet, target: str) -> TriggeredSet:
    """Return triggered images for the target class `target`. They lie in folders named like their
    true classes or, where nobody knows these, in `folder` itself. Images of the target class are
    left out.
    """
    if not folder.is_dir():
        raise DataError(f"no folder of triggered images at {folder}")
    attacked = class_number(target, test.class_names)
    files, true = _listed(folder, test.class_names)
    chosen = [place for place, label in enumerate(true) if label != attacked]
    if not chosen:
        raise DataError(
            f"no triggered image in {folder}; put them there, or in folders named "
            f"{', '.join(test.class_names[:3])}, ..."
        )
    images = read_pictures([files[place] for place in chosen], test.image_shape)
    labels = torch.tensor([true[place] for place in chosen], dtype=torch.int64)
    return TriggeredSet(
        torch.full_like(labels, UNKNOWN_LABEL), images, labels, torch.full_like(labels, attacked)
    )


def class_number(name: str, class_names: Sequence[str]) -> int:
    """Return the class that a person gives by its name or its number. Raises `ConfigError`."""
    if name in class_names:
        return class_names.index(name)
    if name.isdecimal() and int(name) < len(class_names):
        return int(name)
    raise ConfigError(
        f"expected a class from 0 to {len(class_names) - 1} or one of "
        f"{', '.join(class_names[:10])}, got {name!r}"
    )


def _listed(folder: Path, class_names: Sequence[str]) -> tuple[list[Path], list[int]]:
    files: list[Path] = []
    true: list[int] = []
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            label = class_number(entry.name, class_names)
            members = sorted(
                file for file in inside(folder, entry.name).iterdir() if is_picture_file(file)
            )
            files += [inside(folder, entry.name, file.name) for file in members]
            true += [label] * len(members)
        elif is_picture_file(entry):
            files.append(inside(folder, entry.name))
            true.append(UNKNOWN_LABEL)
    return files, true
