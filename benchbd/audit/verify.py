"""The check of result files against everything that can be checked without running an
attack again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from benchbd.attack.attack import Attack
from benchbd.audit.ground_truth import (
    NO_PLACES,
    ImageLabels,
    NotRead,
    Places,
    counts_of,
    registered,
)
from benchbd.defense.defense import Defense
from benchbd.errors import BenchbdError, DataError, RecordError
from benchbd.leaderboard.board.consistency import (
    Baseline,
    UndefendedBaselines,
    contradictions,
    misplaced,
)
from benchbd.leaderboard.board.row import stated_family
from benchbd.leaderboard.board.trust import TrustLevel, TrustNote
from benchbd.measure.counting import REJECTED
from benchbd.measure.plausible import doubts
from benchbd.measure.target_rate import Utility, target_doubt
from benchbd.measure.utility import CleanAnswers, utility
from benchbd.plugin.plugin import Plugin
from benchbd.record.cell import Cell
from benchbd.record.cells import read_cell
from benchbd.record.keys import UNDEFENDED
from benchbd.record.plugin_record import PluginRecord
from benchbd.record.predictions import read_predictions
from benchbd.victim.dataset import DataSet
from benchbd.victim.model import Model

UNCOMPARED = (
    "nothing to hold its baseline against: no cell of `none` for the attacked model that it "
    "started from is among these results"
)


@dataclass(frozen=True)
class VerifiedFile:
    """What the check of one file has found. faults: what is wrong with the file. level: how far the
    file is believed. obstacle: why it is not believed further. answers: the predicted classes of
    clean images; only for a recomputed cell. utility: the figures that were counted from these
    answers.
    """

    path: Path
    cell: Cell | None
    faults: tuple[str, ...] = ()
    level: TrustLevel = "as stated"
    obstacle: str = ""
    answers: CleanAnswers | None = None
    utility: Utility | None = None

    def note(self) -> tuple[str, TrustNote] | None:
        """Return the key of the cell and the note that may be written about it. It is None for a
        file with faults, and for one about which nothing was found out.
        """
        if self.cell is None or self.faults or self.level == "as stated":
            return None
        note = TrustNote(digest=self.cell.digest, level=self.level, utility=self.utility)
        return self.cell.key, note

    def doubt(self) -> str:
        """The doubt about its ASR that follows from its predictions; empty where there is none."""
        asr = self.cell.metrics.asr if self.cell is not None and self.cell.metrics else None
        return target_doubt(asr, self.utility) if self.utility is not None else ""

    def with_fault(self, fault: str) -> VerifiedFile:
        """Return the same finding with one more fault. An empty fault changes nothing."""
        return replace(self, faults=(*self.faults, fault)) if fault else self


def verify(paths: Iterable[Path], places: Places = NO_PLACES) -> list[VerifiedFile]:
    """Return all files, and all `.json` files of folders, by name. Raises `RecordError` for a path
    that is neither.

    What is found in a folder must lie in its place there; a file that is named itself may lie
    anywhere. places: where files that results name lie here.
    """
    answers = ImageLabels(places)
    found = [_verify(path, folder, answers) for path, folder in _files(paths)]
    return list(_with_utility(list(_against_undefended(list(_once(found))))))


def _files(paths: Iterable[Path]) -> Iterator[tuple[Path, Path | None]]:
    """Yield the files, and the folder in which each was found."""
    for path in paths:
        if path.is_dir():
            yield from ((file, path) for file in sorted(path.rglob("*.json")))
        elif path.is_file():
            yield path, None
        else:
            raise RecordError(f"no file or folder at {path}")


def _verify(path: Path, folder: Path | None, answers: ImageLabels) -> VerifiedFile:
    try:
        cell = read_cell(path)
    except RecordError as error:
        return VerifiedFile(path, None, (str(error),))
    astray = misplaced(cell, path, folder) if folder else ""
    faults = [*([astray] if astray else []), *contradictions(cell)]
    faults = faults or _plugin_faults(cell, answers.places)
    if faults or cell.status.code != "ok":
        return VerifiedFile(
            path,
            cell,
            tuple(faults),
            obstacle=f"it ended {cell.status.code}: there are no metrics to recompute",
        )
    return _recomputed(path, cell, answers)


def _recomputed(path: Path, cell: Cell, answers: ImageLabels) -> VerifiedFile:
    """Return the finding about a cell with metrics, after it was compared with its predictions and
    the labels of its data set.
    """
    try:
        test, triggered = answers.of(cell)
        predicted = read_predictions(path, cell)
        counts = counts_of(predicted, test, triggered)
    except (DataError, NotRead) as error:
        return VerifiedFile(path, cell, obstacle=str(error))
    except BenchbdError as error:
        return VerifiedFile(path, cell, (str(error),))
    if counts != cell.counts:
        return VerifiedFile(path, cell, (f"its predictions give {counts}, it says {cell.counts}",))
    clean = predicted[0][predicted[0] != REJECTED]
    faults = _doubt_faults(cell, _doubts(cell, test.num_classes, clean))
    said = CleanAnswers(predicted[0], test, triggered)
    return VerifiedFile(path, cell, tuple(faults), level="recomputed", answers=said)


def _doubts(cell: Cell, num_classes: int, predictions: Tensor) -> tuple[str, ...]:
    """Return the doubts about a cell with metrics. predictions (N,): the predicted classes of the
    clean images that the defense did not reject.
    """
    metrics, counts, baseline = cell.metrics, cell.counts, cell.baseline
    if metrics is None or counts is None or baseline is None:
        return ()
    attacked = cell.cell.may_be_attacked(stated_family(cell.provenance, "attack"))
    return doubts(metrics, counts, baseline, num_classes, attacked, predictions)


def _doubt_faults(cell: Cell, due: tuple[str, ...]) -> Iterator[str]:
    """Yield a fault for each doubt that the result should state and does not, and for each that it
    states without a cause.
    """
    yield from (f"it leaves out a doubt: {doubt}" for doubt in due if doubt not in cell.doubts)
    yield from (
        f"nothing gives rise to its doubt: {doubt}" for doubt in cell.doubts if doubt not in due
    )


def _plugin_faults(cell: Cell, places: Places) -> list[str]:
    """Return a fault for each plugin that this machine does not have in the form that the cell
    names, for an oracle that the cell does not mark as one, and for a family that is not that of
    the defense.
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
            plugin = registered(kind, provided, places)
        except NotRead:
            continue
        except RecordError as error:
            faults.append(str(error))
            continue
        if getattr(plugin, "oracle", False) and not cell.flags.oracle:
            faults.append(f"{provided.name} is an oracle, and the cell does not say so")
        said = stated_family(cell.provenance, "defense")
        if isinstance(plugin, Defense) and said not in ("", plugin.family):
            faults.append(f"{provided.name} is a {plugin.family}, and the cell says {said}")
    return faults


def _once(found: Iterable[VerifiedFile]) -> Iterator[VerifiedFile]:
    """Yield the files so that, of those with the same cell, only the first without a fault is
    believed.
    """
    first: dict[tuple[str, str], Path] = {}
    for each in found:
        if each.cell is None or each.faults:
            yield each
            continue
        known = first.setdefault(_identity(each.cell), each.path)
        again = known.resolve() != each.path.resolve()
        yield each.with_fault(f"it holds the same cell as {known}" if again else "")


def _identity(cell: Cell) -> tuple[str, str]:
    """Return what no two files may have in common: the key of the cell. Undefended cells may share
    a key if they are of different attacked models.
    """
    undefended = cell.cell.defense.name == UNDEFENDED
    return cell.key, cell.attacked_model if undefended else ""


def _against_undefended(found: list[VerifiedFile]) -> Iterator[VerifiedFile]:
    """Yield each finding after its baseline was compared with the recomputed cell without a defense
    of the same attacked model. A baseline that differs is a fault of the cell that states it.
    """
    undefended = UndefendedBaselines()
    for each in found:
        if each.cell is not None and not each.faults and each.level == "recomputed":
            undefended.add(Baseline.measured(each.cell))
    for each in found:
        yield each if each.cell is None else _compared(each, Baseline.stated(each.cell), undefended)


def _compared(
    each: VerifiedFile, stated: Baseline, undefended: UndefendedBaselines
) -> VerifiedFile:
    """Return the finding about one file after its baseline was compared with what was measured of
    its attacked model. Where nothing was measured, its DER rests on the word of its author.
    """
    if each.level == "recomputed" and undefended.lacks(stated):
        return replace(each, level="as stated", obstacle=UNCOMPARED)
    return each.with_fault(undefended.fault(stated))


def _with_utility(found: list[VerifiedFile]) -> Iterator[VerifiedFile]:
    """Yield each finding. Those of recomputed cells get the figures that their predictions give
    beside the metrics, compared with the undefended model where its cell is among the files.
    """
    before = {
        measured.model: each.answers.predictions
        for each in found
        if each.cell is not None
        and each.answers is not None
        and not each.faults
        and (measured := Baseline.measured(each.cell))
    }
    for each in found:
        if each.cell is None or each.answers is None or each.faults:
            yield each
            continue
        undefended = before.get(Baseline.stated(each.cell).model)
        counted = utility(each.answers, undefended)
        yield replace(each, answers=None, utility=counted)
