"""The right answers to the test images of a cell, rebuilt from its coordinates: what its
predictions are held against.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from benchbd.attack.attack import Attack
from benchbd.data.images import ImageSet
from benchbd.data.poisoned import TriggeredSet
from benchbd.errors import BenchbdError, RecordError
from benchbd.measure.counting import count
from benchbd.measure.shares import Counts
from benchbd.plugin.loose import LOCAL_FILE
from benchbd.plugin.plugin import Plugin
from benchbd.plugin.registry import create, entries
from benchbd.record.cell import Cell
from benchbd.record.plugin_record import PluginRecord
from benchbd.record.predictions import Predicted
from benchbd.victim.dataset import DataSet

Family = TypeVar("Family", bound=Plugin)


@dataclass
class Answers:
    """Test splits by the identity of their data set, each loaded once."""

    _splits: dict[str, ImageSet] = field(default_factory=dict)

    def of(self, cell: Cell) -> tuple[ImageSet, TriggeredSet]:
        """The clean test split, and the triggered one with its two kinds of labels but the images
        unstamped.
        """
        test = self._test(cell.cell.dataset)
        attack = registered(Attack, cell.cell.attack)
        attack.require_target(test)
        indices, bystander = attack.outline(test.labels, test.num_classes)
        labels = test.labels[indices]
        attacked = attack.attacked_labels(labels, test.num_classes)
        return test, TriggeredSet(indices, test.images[indices], labels, attacked, bystander)

    def counts(self, cell: Cell, predicted: Predicted) -> Counts:
        """The counts that predictions give. Raises `RecordError` when they are of other images."""
        test, triggered = self.of(cell)
        wanted, given = (len(test), len(triggered)), tuple(map(len, predicted))
        if wanted != given:
            raise RecordError(
                f"its predictions are of {given} clean and triggered images, the data set gives "
                f"{wanted}"
            )
        return count(*predicted, test, triggered)

    def _test(self, dataset: PluginRecord) -> ImageSet:
        known = dataset.model_dump_json()
        if known not in self._splits:
            self._splits[known] = registered(DataSet, dataset).load("test")
        return self._splits[known]


def registered(kind: type[Family], provided: PluginRecord) -> Family:
    """The plugin as a cell names it. Only what an installed package registers is built: a result
    must not run a file.

    Raises `RecordError` when nobody provides it here, or when what is provided is another version
    of it.
    """
    word = kind.kind
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
    try:
        plugin = create(kind, f"{provided.provider}/{provided.name}", provided.params)
    except BenchbdError as error:
        raise RecordError(f"its {word} cannot be built here: {error}") from None
    here = PluginRecord.of(plugin).identity()
    if here != provided.identity():
        raise RecordError(
            f"its {word} is another one here: {here}, the cell says {provided.identity()}"
        )
    return plugin
