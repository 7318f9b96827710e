"""The checks that need no data: that the facts of a cell do not contradict each other, that its
file lies in its place, and that it agrees with the cell without a defense about the attacked model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from benchbd.measure.shares import Counts, Metrics
from benchbd.record.cell import Cell
from benchbd.record.keys import KEY_DIGITS, UNDEFENDED

LARGEST_EXACT_NUMBER = 2**53
"""The largest whole number that a float, and so every table, holds exactly."""

OneModel = tuple[str, str, float, str]
"""One attacked model, defended with one clean budget: protocol, key of the attacked model, share of
clean data, digest of the model's weights (empty in results that do not name it).
"""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The metrics of an attacked model before the defense, as a cell states them."""

    model: OneModel
    shares: tuple[float | None, ...] | None

    @classmethod
    def stated(cls, cell: Cell) -> Self:
        """Return the baseline that a cell states."""
        return cls._of(cell, cell.baseline)

    @classmethod
    def measured(cls, cell: Cell) -> Self | None:
        """Return the metrics of a cell without a defense, or None for a cell with one."""
        return cls._of(cell, cell.metrics) if _measures_the_model(cell) else None

    @classmethod
    def _of(cls, cell: Cell, metrics: Metrics | None) -> Self:
        about = cell.cell
        shares = None if metrics is None else (metrics.acc, metrics.asr, metrics.rc)
        model = (cell.protocol, about.attack_key, about.clean_budget, cell.attacked_model)
        return cls(model, shares)


@dataclass(frozen=True)
class UndefendedBaselines:
    """The metrics of each attacked model, as cells without a defense measured them.

    The same attack with the same seed gives other weights on another kind of processor, so models
    are told apart by the digest of their weights. Cells that contradict each other, as only forged
    ones can, are no reference for anybody.
    """

    _found: dict[OneModel, set[tuple[float | None, ...] | None]] = field(default_factory=dict)

    def add(self, measured: Baseline | None) -> None:
        if measured is not None:
            self._found.setdefault(measured.model, set()).add(measured.shares)

    def lacks(self, stated: Baseline) -> bool:
        """Return whether this baseline names the weights of its model, but no cell without a
        defense has measured that model.
        """
        return bool(stated.shares and stated.model[-1]) and stated.model not in self._found

    def fault(self, stated: Baseline) -> str:
        """Return the reason why a baseline is not believed; empty where there is none."""
        known = self._found.get(stated.model, set())
        if stated.shares is None or len(known) != 1 or stated.shares in known:
            return ""
        return (
            f"its baseline (ACC, ASR, RC) {stated.shares} is not what the cell without a defense "
            f"measured of the same attacked model, {next(iter(known))}"
        )


def misplaced(cell: Cell, path: Path, folder: Path) -> str:
    """Return why the file at `path`, found in `folder`, is not where a store keeps this cell; empty
    when it is. The folder may be one inside of the store.
    """
    places = [cell.place]
    if _measures_the_model(cell) and cell.attacked_model:
        places.append(cell.reference_place)
    if any(_lies_at(place, path, folder) for place in places):
        return ""
    return f"it is not in its place, which is {cell.place} in the folder of the results"


def _lies_at(place: str, path: Path, folder: Path) -> bool:
    own, here = Path(place).parts, path.relative_to(folder).parts
    above = folder.resolve().parts
    return (*above[len(above) - max(0, len(own) - len(here)) :], *here) == own


def _measures_the_model(cell: Cell) -> bool:
    return cell.cell.defense.name == UNDEFENDED and cell.metrics is not None


def contradictions(cell: Cell) -> list[str]:
    """Return sentences, one for each contradiction; none for a cell that can be believed."""
    expected = cell.cell.key(cell.protocol)
    if cell.key != expected:
        return [
            f"its key {cell.key[:KEY_DIGITS]} is not that of its coordinates, "
            f"{expected[:KEY_DIGITS]}"
        ]
    if faults := _out_of_range(cell):
        return faults
    if cell.status.code != "ok":
        return ["it has metrics although it did not end well"] if cell.metrics else []
    if cell.metrics is None or cell.counts is None:
        return ["it ended well but has no metrics or no counts"]
    faults = _impossible(cell.counts) or _wrong_shares(cell.metrics, cell.counts, cell.baseline)
    return [*faults, *_baseless(cell.counts, cell.baseline)]


def _out_of_range(cell: Cell) -> list[str]:
    """Return a sentence for each figure that no machine can measure and that would spoil the sums
    it goes into.
    """
    figures = cell.cost.model_dump(exclude={"device", "precision"}) | {"seed": cell.cell.seed}
    return [
        f"{name} is {value:.3g}"
        for name, value in figures.items()
        if not 0 <= value <= LARGEST_EXACT_NUMBER
    ]


def _impossible(counts: Counts) -> list[str]:
    faults = []
    if not 0 <= counts.clean_hits <= counts.clean or not 0 < counts.clean <= LARGEST_EXACT_NUMBER:
        faults.append(f"{counts.clean_hits} hits of {counts.clean} clean images")
    true_hits = counts.true_hits or 0
    if (
        min(counts.attack_hits, true_hits) < 0
        or counts.attack_hits + true_hits > counts.triggered
        or counts.triggered > LARGEST_EXACT_NUMBER
    ):
        faults.append(
            f"ASR + RC exceeds 1: {counts.attack_hits} + {true_hits} hits of {counts.triggered} "
            "triggered images"
        )
    return faults


def _wrong_shares(metrics: Metrics, counts: Counts, baseline: Metrics | None) -> list[str]:
    expected = Metrics.from_counts(counts, baseline)
    return [
        f"{name.upper()} is stored as {stored}, its counts give {due}"
        for (name, stored), (_, due) in zip(metrics, expected, strict=True)
        if stored != due
    ]


def _baseless(counts: Counts, baseline: Metrics | None) -> list[str]:
    """Return a fault for a defense without a baseline. It would have no DER for a cell in which it
    fails, so its mean would be that of its other cells.
    """
    if baseline is not None and not _are_shares(baseline):
        return ["the baseline is not made of shares in [0, 1]"]
    if counts.triggered and (baseline is None or baseline.asr is None):
        return ["it has triggered images and no baseline, from which its DER is measured"]
    return []


def _are_shares(metrics: Metrics) -> bool:
    shares = (metrics.acc, metrics.asr, metrics.rc)
    return (
        all(share is None or 0 <= share <= 1 for share in shares)
        and (metrics.asr or 0) + (metrics.rc or 0) <= 1 + 1e-9
    )
