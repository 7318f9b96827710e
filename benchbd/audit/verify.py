"""Hold result files against everything that can be checked without running an attack again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchbd.attack.attack import Attack
from benchbd.audit.ground_truth import Answers, registered
from benchbd.defense.defense import Defense
from benchbd.errors import BenchbdError, DataError, RecordError
from benchbd.leaderboard.board.consistency import contradictions
from benchbd.leaderboard.board.row import stated_family
from benchbd.leaderboard.board.trust import Note, TrustLevel
from benchbd.plugin.plugin import Plugin
from benchbd.record.cell import Cell
from benchbd.record.cells import read_cell
from benchbd.record.plugin_record import PluginRecord
from benchbd.record.predictions import read_predictions
from benchbd.victim.dataset import DataSet
from benchbd.victim.model import Model


@dataclass(frozen=True)
class Verified:
    """One file: what is wrong with it, how far it is believed, and why no further (`obstacle`)."""

    path: Path
    cell: Cell | None
    faults: tuple[str, ...] = ()
    level: TrustLevel = "self-reported"
    obstacle: str = ""

    def note(self) -> tuple[str, Note] | None:
        """What may be written down about it, by its key; None for a file with faults or nothing to
        tell.
        """
        if self.cell is None or self.faults or self.level == "self-reported":
            return None
        return self.cell.key, Note(digest=self.cell.digest, level=self.level)


def verify(paths: Iterable[Path]) -> list[Verified]:
    """All files, and all `.json` files of folders, by name. Raises `RecordError` for a path that is
    neither.
    """
    answers = Answers()
    found = [_verify(path, answers) for path in _files(paths)]
    disagreeing = _other_baselines(found)
    return [replace(each, faults=(*each.faults, *disagreeing.get(each.path, ()))) for each in found]


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(path.rglob("*.json"))
        elif path.is_file():
            yield path
        else:
            raise RecordError(f"no file or folder at {path}")


def _verify(path: Path, answers: Answers) -> Verified:
    try:
        cell = read_cell(path)
    except RecordError as error:
        return Verified(path, None, (str(error),))
    faults = [*contradictions(cell), *_plugin_faults(cell)]
    if faults or cell.status.code != "ok":
        return Verified(
            path,
            cell,
            tuple(faults),
            obstacle=f"it ended {cell.status.code}: there are no metrics to recompute",
        )
    try:
        counts = answers.counts(cell, read_predictions(path, cell))
    except DataError as error:
        return Verified(path, cell, obstacle=str(error))
    except BenchbdError as error:
        return Verified(path, cell, (str(error),))
    if counts != cell.counts:
        return Verified(path, cell, (f"its predictions give {counts}, it says {cell.counts}",))
    return Verified(path, cell, level="recomputed")


def _plugin_faults(cell: Cell) -> list[str]:
    """Plugins that are not known here as the cell names them, and an oracle that is not
    called one.
    """
    faults = []
    about = cell.cell
    named: list[tuple[type[Plugin], PluginRecord]] = [
        (DataSet, about.dataset),
        (Model, about.model),
        (Attack, about.attack),
        (Defense, about.defense),
    ]
    for kind, provided in named:
        try:
            plugin = registered(kind, provided)
        except RecordError as error:
            faults.append(str(error))
            continue
        if getattr(plugin, "oracle", False) and not cell.flags.oracle:
            faults.append(f"{provided.name} is an oracle, and the cell does not say so")
        said = stated_family(cell.provenance, "defense")
        if isinstance(plugin, Defense) and said not in ("", plugin.family):
            faults.append(f"{provided.name} is a {plugin.family}, and the cell says {said}")
    return faults


def _other_baselines(found: Iterable[Verified]) -> dict[Path, tuple[str, ...]]:
    """Cells of one attacked model that differ in what they say of that model before the defense."""
    models: dict[str, list[Verified]] = defaultdict(list)
    for each in found:
        if each.cell is not None and each.cell.baseline is not None:
            models[each.cell.cell.attack_key].append(each)
    return {
        each.path: (
            f"its baseline is not the one that {group[0].path} gives for the same attacked model",
        )
        for group in models.values()
        for each in group
        if each.cell is not None
        and group[0].cell is not None
        and each.cell.baseline != group[0].cell.baseline
    }
