"""The true and the attacked labels of the test images of a cell, rebuilt from its coordinates, so
that its predictions can be checked.

A result names its data set, but not the folder where that lies. The images are read from the
standard folder, or from the place that the person who verifies gives (`Places`). Nothing is
downloaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args

from benchbd.attack.attack import Attack
from benchbd.data.images import ImageSet
from benchbd.data.poisoned import TriggeredSet
from benchbd.errors import BenchbdError, RecordError
from benchbd.measure.counting import REJECTED, count
from benchbd.measure.shares import Counts
from benchbd.plugin.loose import LOCAL_FILE
from benchbd.plugin.plugin import Plugin
from benchbd.plugin.registry import entries, load
from benchbd.record.cell import Cell
from benchbd.record.plugin_record import PluginRecord
from benchbd.record.predictions import Predicted
from benchbd.victim.dataset import DataSet

Family = TypeVar("Family", bound=Plugin)

Places = Mapping[str, Path]
"""The files and folders on this machine that results refer to, by the parameter that names them,
such as `dataset.path` or `attack.image`.
"""

NO_PLACES: Places = {}

FETCHING_PARAMETER = "download"
"""The parameter that lets a data set download its files."""


class NotRead(RecordError):
    """A result names a file, a folder or a download that nobody who verifies it has allowed."""


@dataclass
class ImageLabels:
    """The labels of test images. Each test split is loaded once and kept by the identity of its
    data set. places: the files and folders that the person who verifies gives.
    """

    places: Places = field(default_factory=dict)
    _splits: dict[str, ImageSet] = field(default_factory=dict)

    def of(self, cell: Cell) -> tuple[ImageSet, TriggeredSet]:
        """Return the clean test split, and the triggered one with its two kinds of labels but the
        images unstamped. Raises `RecordError` and `DataError`.
        """
        with _plugins_may_fail():
            test = self._test(cell.cell.dataset)
            attack = registered(Attack, cell.cell.attack, self.places)
            attack.require_target(test)
            indices, bystander = attack.outline(test.labels, test.num_classes)
            labels = test.labels[indices]
            attacked = attack.attacked_labels(labels, test.num_classes)
            return test, TriggeredSet(indices, test.images[indices], labels, attacked, bystander)

    def _test(self, dataset: PluginRecord) -> ImageSet:
        known = dataset.model_dump_json()
        if known not in self._splits:
            self._splits[known] = registered(DataSet, dataset, self.places).load("test")
        return self._splits[known]


@contextmanager
def _plugins_may_fail() -> Iterator[None]:
    """What plugins raise for the parameters that a result chose is a fault of the result."""
    try:
        yield
    except BenchbdError:
        raise
    except Exception as error:
        raise RecordError(
            f"its test images cannot be made here: {type(error).__name__}: {error}"
        ) from error


def counts_of(predicted: Predicted, test: ImageSet, triggered: TriggeredSet) -> Counts:
    """Return the counts that follow from the predictions. Raises `RecordError` when their number is
    not that of the images, or when they name a class that does not exist.
    """
    wanted, given = (len(test), len(triggered)), tuple(map(len, predicted))
    if wanted != given:
        raise RecordError(
            f"its predictions are of {given} clean and triggered images, the data set gives "
            f"{wanted}"
        )
    for classes in predicted:
        if ((classes >= test.num_classes) & (classes != REJECTED)).any():
            raise RecordError(
                f"its predictions name other classes than the {test.num_classes} of the data set"
            )
    return count(*predicted, test, triggered)


def registered(kind: type[Family], provided: PluginRecord, places: Places = NO_PLACES) -> Family:
    """Return the plugin as a cell names it. Only what an installed package registers is built,
    because a result must not run a file.

    places: where the files lie that its parameters name. Raises `RecordError` when nobody provides
    it here, or when what is provided is another version of it, and `NotRead` for a file, a folder
    or a download that only the result names.
    """
    word = kind.kind
    _require_registered(word, provided)
    mine = {name: str(path) for what, path in places.items() if (name := _of_kind(word, what))}
    try:
        cls = load(kind, f"{provided.provider}/{provided.name}")
        given = {name: path for name, path in mine.items() if name in cls.model_fields}
        _require_allowed(cls, provided, given)
        aside = {name for name in cls.aside if name in cls.model_fields}
        params = {name: value for name, value in provided.params.items() if name not in aside}
        plugin = cls(**(params | given))
    except NotRead:
        raise
    except BenchbdError as error:
        raise RecordError(f"its {word} cannot be built here: {error}") from None
    here = _as_named(PluginRecord.of(plugin), provided, given)
    if here.identity() != provided.identity():
        raise RecordError(
            f"its {word} is another one here: {here.identity()}, the cell says "
            f"{provided.identity()}"
        )
    return plugin


def _require_registered(word: str, provided: PluginRecord) -> None:
    """Raise `RecordError` for a plugin from a file, or from a package that is not installed."""
    if provided.provider == LOCAL_FILE:
        raise RecordError(
            f"its {word} {provided.name!r} came from a local file, and a result must not run a "
            "file: it can be reproduced and "
            "verified once the plugin is packaged; docs/package_and_publish.md says how"
        )
    if not any(
        (entry.provider, entry.name) == (provided.provider, provided.name)
        for entry in entries(word)
    ):
        raise RecordError(
            f"its {word} {provided.name!r} is provided by {provided.provider!r}, which is not "
            "installed here"
        )


def _of_kind(word: str, what: str) -> str:
    """Return the name of a parameter without its kind: `path` for `dataset.path` and the kind
    `dataset`. It is empty for a parameter of another kind.
    """
    kind, _, name = what.partition(".")
    return name if kind == word else ""


def _require_allowed(cls: type[Plugin], provided: PluginRecord, given: Mapping[str, str]) -> None:
    """Raise `NotRead` for a parameter that counts for the result, names a file or a folder, and is
    not among those `given`; and for a download. Parameters that are put aside are not used at all.
    """
    for name, value in _leading(cls, provided):
        if name == FETCHING_PARAMETER:
            raise NotRead(
                f"its {cls.kind} {provided.name} wants to fetch data, and a result must not: fetch "
                "them first"
            )
        if name not in given:
            raise NotRead(
                f"its {cls.kind} {provided.name} names the path {str(value)[:200]!r}, and a result "
                "must not choose what is read: say where it lies here, "
                f"`--at {cls.kind}.{name}=PATH` of `benchbd verify` and `benchbd reproduce`"
            )


def _leading(cls: type[Plugin], provided: PluginRecord) -> Iterator[tuple[str, Any]]:
    """Yield the name and the value of each parameter by which a result would lead to a file or a
    download.
    """
    for name, value in provided.params.items():
        field_ = cls.model_fields.get(name)
        if field_ is None or name in cls.aside or not value or value == field_.default:
            continue
        if name == FETCHING_PARAMETER or _names_path(field_.annotation):
            yield name, value


def _names_path(annotation: Any) -> bool:
    """Return whether values of this type hold a path: `Path`, `Path | None`, `tuple[Path, ...]`."""
    return annotation is Path or any(map(_names_path, get_args(annotation)))


def _as_named(here: PluginRecord, provided: PluginRecord, given: Mapping[str, str]) -> PluginRecord:
    """Return the plugin of this machine with the paths of folders replaced by those that the result
    names. A file counts by its digest, wherever it lies.
    """
    folders = {
        name: provided.params[name]
        for name in given
        if name not in here.files and name in provided.params
    }
    return here.model_copy(update={"params": here.params | folders})
