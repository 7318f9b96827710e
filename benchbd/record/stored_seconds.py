"""How long work took whose results are stored. A run tells it before it begins the same work."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from benchbd.errors import RecordError
from benchbd.record.cell import Cell
from benchbd.record.cells import RESULTS_FOLDER, read_cell
from benchbd.record.defense_result import CELL_FILE
from benchbd.record.ingredients import Ingredients
from benchbd.record.keys import safe_name
from benchbd.record.plugin_record import PluginRecord

MOST_READ = 60
"""Result files that are read for one estimate, which takes a tenth of a second."""

ENOUGH = 5
"""Results of the same work after which no more are read."""


@dataclass(frozen=True)
class StoredSeconds:
    """The median of the seconds that stored results of the same work took, and their number."""

    seconds: float
    count: int


def attack_seconds(about: Ingredients, records: Path) -> StoredSeconds | None:
    """Return how long this attack took with this data set, model and recipe, at any seed; None
    where no such result is stored. records: the folder of attack results; those of matrices are
    looked up in `RESULTS_FOLDER`.
    """
    name = safe_name(about.attack.label)
    paths = chain(
        sorted(records.glob(f"{name}-*/defense/*/{CELL_FILE}")),
        sorted(RESULTS_FOLDER.glob(f"*/{name}/*/*.json")),
    )
    models = {}
    for cell in _made_alike(paths, about):
        if _work(cell.cell.attack) == _work(about.attack):
            models[cell.cell.attack_key] = cell.cost.attack_seconds
    return _median(models.values())


def defense_seconds(
    about: Ingredients, defense: PluginRecord, records: Path
) -> StoredSeconds | None:
    """Return how long this defense took with this data set, model and recipe, against any attack;
    None where no such result is stored. records: as for `attack_seconds`.
    """
    name, attack = safe_name(defense.label), safe_name(about.attack.label)
    paths = chain(
        sorted(records.glob(f"*/defense/{name}*/{CELL_FILE}")),
        sorted(RESULTS_FOLDER.glob(f"*/{attack}/{name}/*.json")),
        sorted(RESULTS_FOLDER.glob(f"*/*/{name}/*.json")),
    )
    alike = (
        cell for cell in _made_alike(paths, about) if _work(cell.cell.defense) == _work(defense)
    )
    costs = [cell.cost for cell in islice(alike, ENOUGH)]
    return _median([cost.defense_seconds + cost.evaluation_seconds for cost in costs])


def _made_alike(paths: Iterable[Path], about: Ingredients) -> Iterator[Cell]:
    """Yield the first cells that were measured with this data set, model and recipe."""
    for path in islice(dict.fromkeys(paths), MOST_READ):
        with suppress(RecordError):
            cell = read_cell(path)
            if cell.status.code == "ok" and _setting(cell.cell) == _setting(about):
                yield cell


def _setting(about: Ingredients) -> tuple[object, ...]:
    return _work(about.dataset), _work(about.model), about.recipe


def _work(plugin: PluginRecord) -> tuple[str, dict[str, object]]:
    """Return what of a plugin decides how long it works."""
    return plugin.name, plugin.params


def _median(seconds: Iterable[float]) -> StoredSeconds | None:
    known = list(seconds)
    return StoredSeconds(statistics.median(known), len(known)) if known else None
