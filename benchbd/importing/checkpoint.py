"""The reader of a model that was trained elsewhere: a file of its parameters, with clean images
and, if there are any, triggered ones.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from benchbd.data.class_number import class_number
from benchbd.data.images import ImageSet
from benchbd.data.picture_folders import PicturesBelow, counted_in_words, is_foreign
from benchbd.data.pictures import is_picture_file
from benchbd.data.poisoned import UNKNOWN_LABEL, TriggeredSet
from benchbd.errors import ConfigError, DataError, DataNote, RecordError
from benchbd.importing.architecture import (
    DoesNotFit,
    Statistics,
    are_usable,
    found_names,
    nearest_model,
    restored,
)
from benchbd.importing.assemble import ForeignResult, nothing_triggered, only_model
from benchbd.importing.contents import kind_of
from benchbd.importing.foreign_pickle import read_foreign
from benchbd.importing.naming import DEVIATIONS, MEANS, Naming, StateDict, common_prefix
from benchbd.importing.pictures import inside, read_pictures
from benchbd.importing.tables import Tables, tables_in
from benchbd.record.files import require_ordinary
from benchbd.record.keys import MODEL_ONLY
from benchbd.victim.model import Model

CHECKPOINT = "a checkpoint"
CLASS_NAME_KEYS = ("class_to_idx", "class_names", "classes")
"""The keys under which training scripts store the names of the classes."""

LEAST_FITTING_SHARE = 0.3
"""Least share of names and shapes that must fit another architecture before an error names it as
the nearest.
"""


def read_checkpoint(
    path: Path,
    model: Model,
    clean: tuple[ImageSet, ImageSet],
    triggered: TriggeredSet | None = None,
    statistics: Statistics | None = None,
    seed: int = 0,
    prefix: str | None = None,
    at: str | None = None,
) -> ForeignResult:
    """Return the model at `path` with the defender's clean images and the test images. Raises
    `RecordError` or `DataError`.

    statistics: the mean and the standard deviation by which the model normalises its images; if
    unset, those in the file, or else none, so that images enter as [0, 1]. prefix: what stands
    before the names of its parameters; at: the place of their table in the file; if unset, both
    are found.
    """
    train, test = clean
    content = _content(path)
    _require_same_classes(content, train.class_names, path)
    state, fitted = _fitting(tables_in(content, str(path), at), model, train, prefix)
    channels = train.image_shape[0]
    statistics = (
        statistics or _own_statistics(state, channels) or ((0.0,) * channels, (1.0,) * channels)
    )
    if not are_usable(statistics, channels):
        raise ConfigError(
            f"expected a mean and a positive standard deviation for each of {channels} channels, "
            f"got {statistics}"
        )
    try:
        classifier = restored(fitted, state, train, statistics, prefix)
    except DoesNotFit as error:
        raise RecordError(f"{error}{_help(content, state, train, at)}") from None
    return ForeignResult(
        format=CHECKPOINT,
        called=path.name,
        family=MODEL_ONLY,
        plugin=fitted,
        model=classifier,
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
    return next(iter(tables_in(_content(path), str(path)).values()))


def _content(path: Path) -> dict[Any, Any]:
    """Return what is in a file, whatever its name ends with."""
    require_ordinary(path)
    if kind_of(path) == "safetensors" or path.suffix == ".safetensors":
        try:
            return dict(safetensors.torch.load_file(path))
        except SafetensorError as error:
            raise RecordError(f"{path} is damaged, or no safetensors file: {error}") from None
    return read_foreign(path)


def _fitting(
    tables: Tables, model: Model, images: ImageSet, prefix: str | None
) -> tuple[dict[str, Tensor], Model]:
    """Return the first table that has all parameters of the model, else the one that has most, and
    the model with the shapes in it.
    """
    tried = []
    for place, state in tables.items():
        fitted = model.fitted(_without_prefix(state, prefix))
        network = fitted.build(images.num_classes, images.image_shape)
        tried.append((found_names(fitted, network, state, prefix), place, state, fitted))
    whole = [place for naming, place, *_ in tried if naming.is_whole]
    if len(whole) > 1:
        warnings.warn(
            f"the parameters at {whole[0]!r} are read; those at {', '.join(map(repr, whole[1:]))} "
            "fit as well, --at chooses",
            DataNote,
            stacklevel=3,
        )
    naming, _, state, fitted = min(tried, key=lambda each: len(each[0].missing))
    if naming.aside:
        _tell_aside(naming)
    return state, fitted


def _without_prefix(state: StateDict, prefix: str | None) -> dict[str, Tensor]:
    """Return the table under the names that its network gave, from which the model finds its
    shapes.
    """
    shared = common_prefix(state) if prefix is None else prefix
    return {name.removeprefix(shared): value for name, value in state.items()}


def _tell_aside(naming: Naming) -> None:
    names = ", ".join(naming.aside[:3]) + (", ..." if len(naming.aside) > 3 else "")
    warnings.warn(
        f"the parameters under the prefix {naming.prefix!r} are read; set aside are "
        f"{len(naming.aside)} without it: {names}",
        DataNote,
        stacklevel=4,
    )


def _own_statistics(state: StateDict, channels: int) -> Statistics | None:
    """Return the normalisation that is stored with a model, by benchbd or as a layer in front."""
    found = []
    for names in (MEANS, DEVIATIONS):
        values = [
            value
            for name, value in state.items()
            if name.rpartition(".")[2] in names and value.numel() in (1, channels)
        ]
        if len(values) != 1:
            return None
        numbers = tuple(values[0].flatten().tolist())
        found.append(numbers * channels if len(numbers) == 1 else numbers)
    return found[0], found[1]


def _require_same_classes(content: Mapping[Any, Any], names: Sequence[str], path: Path) -> None:
    """Raise `DataError` where the file names the classes of the clean images in another order."""
    theirs = next((_names_in(content[key]) for key in CLASS_NAME_KEYS if key in content), None)
    if theirs is None or theirs == tuple(names):
        return
    if sorted(theirs) == sorted(names):
        raise DataError(
            f"{path} has the classes in another order than the clean images; give these the same "
            f"order: `--set 'dataset.class_order=[{', '.join(theirs)}]'`"
        )
    warnings.warn(
        f"{path} names other classes ({', '.join(theirs[:5])}, ...) than the clean images "
        f"({', '.join(names[:5])}, ...); are these its images?",
        DataNote,
        stacklevel=3,
    )


def _names_in(value: Any) -> tuple[str, ...] | None:
    """Return names of classes from a list, or as a table with their numbers."""
    if isinstance(value, dict) and all(isinstance(number, int) for number in value.values()):
        return tuple(str(name) for name in sorted(value, key=lambda name: int(value[name])))
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        return tuple(value)
    return None


def _help(content: Mapping[Any, Any], state: StateDict, images: ImageSet, at: str | None) -> str:
    """Return hints for parameters that do not fit: their prefix, a model to which they are nearer,
    and the other places in the file that hold parameters.
    """
    told = []
    if shared := common_prefix(state):
        told.append(f"all its names begin with {shared!r} (--prefix {shared})")
    if (nearest := nearest_model(state, images)) is not None and nearest[1] >= LEAST_FITTING_SHARE:
        told.append(
            f"the nearest known architecture is {nearest[0]}, to which {nearest[1]:.0%} of them "
            f"fit (--model {nearest[0]})"
        )
    places = [place for place in tables_in(content, "") if place]
    if at is None and places:
        told.append(f"parameters are at {', '.join(places)} (--at {places[0]})")
    return "".join(f"; {each}" for each in told)


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


def _listed(folder: Path, class_names: Sequence[str]) -> tuple[list[Path], list[int]]:
    """Return the images in folders by class, with the labels of these, or in the folder itself."""
    files: list[Path] = []
    true: list[int] = []
    passed_over = Counter[str]()
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not is_foreign(entry.name):
            label = _true_class(entry.name, class_names)
            below = PicturesBelow.find(inside(folder, entry.name))
            files += [inside(folder, *file.relative_to(folder).parts) for file in below.files]
            true += [label] * len(below.files)
            passed_over += below.passed_over
        elif is_picture_file(entry) and not is_foreign(entry.name):
            files.append(inside(folder, entry.name))
            true.append(UNKNOWN_LABEL)
    if passed_over:
        warnings.warn(
            f"files in {folder} that were passed over: {counted_in_words(passed_over)}",
            DataNote,
            stacklevel=3,
        )
    return files, true


def _true_class(name: str, class_names: Sequence[str]) -> int:
    """Return the class that a folder is called like, by its name or else by its number."""
    return class_names.index(name) if name in class_names else class_number(name, class_names)
