"""Result files as rows: the facts about each cell that the tables need, flat and small, with texts
made harmless.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchbd.errors import RecordError
from benchbd.leaderboard.board.consistency import (
    Baseline,
    UndefendedBaselines,
    contradictions,
    misplaced,
)
from benchbd.leaderboard.board.curves import ThinnedCurve, traces
from benchbd.leaderboard.board.method_names import Method
from benchbd.leaderboard.board.text import label, one_line
from benchbd.leaderboard.board.trust import Ledger, TrustLevel, level_of, utility_of
from benchbd.measure.target_rate import Utility, effectiveness_above, target_doubt
from benchbd.record.cell import Cell
from benchbd.record.cells import is_reference, read_cell
from benchbd.record.keys import canonical_json
from benchbd.record.plugin_record import PluginRecord

MOST_DOUBTS = 8
"""The most doubts of a cell that are shown. No honest cell has as many."""

METRICS = ("acc", "asr", "rc", "der")
BYSTANDERS = "false_activation"
"""A metric that only cells of source-specific attacks have."""
TARGET_RATE = "b"
"""The share of clean images of other classes that are taken for the attacked label."""

EXTRA_METRICS = (TARGET_RATE, BYSTANDERS)
"""Metrics that only some cells have, in addition to the four."""

UTILITY_FIGURES = ("least_accuracy", "attacked_recall", "attacked_recall_before", "agreement")
"""The other figures that are counted from stored predictions, in the order of the tables."""

SHOWN_PROVENANCE = (
    "benchbd",
    "commit",
    "dirty",
    "python",
    "platform",
    "processor",
    "instructions",
    "finished",
    "retries",
)
"""The parts of a result's provenance that the board shows."""


@dataclass(frozen=True, slots=True)
class TableKey:
    """The facts that cells must have in common to be compared: protocol, data set, model, recipe,
    the defender's budget and the protocol's table.
    """

    protocol: str
    dataset: Method
    model: Method
    recipe: str
    clean_budget: float
    table: str = ""

    @property
    def identity(self) -> tuple[str, str, str, str, float, str]:
        return (
            self.protocol,
            self.dataset.identity,
            self.model.identity,
            self.recipe,
            self.clean_budget,
            self.table,
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One cell. Shares lie in [0, 1] and are None where nothing was measured. `hits`: the count and
    the total behind each metric. `attacked_model`: the digest of the weights from which the defense
    started. `utility`: the figures that were counted from its predictions in addition to its
    metrics. DER is computed from ASR - b where b was counted.
    """

    file: str
    key: str
    where: TableKey
    attack: Method
    defense: Method
    seed: int
    code: str
    reason: str
    stage: str
    metrics: dict[str, float | None]
    baseline: dict[str, float | None]
    hits: dict[str, tuple[int, int]]
    detection: dict[str, float]
    cost: dict[str, float]
    device: str
    oracle: bool
    stale: bool
    trust: TrustLevel
    made: dict[str, str] = field(default_factory=dict)
    attacked_model: str = ""
    attack_family: str = ""
    defense_family: str = ""
    traces: tuple[ThinnedCurve, ...] = ()
    doubts: tuple[str, ...] = ()
    utility: dict[str, float] = field(default_factory=dict)
    least_class: int | None = None

    @property
    def ok(self) -> bool:
        return self.code == "ok"


def read_rows(folder: Path, ledger: Ledger) -> tuple[list[Row], list[str]]:
    """Return the rows of all result files under `folder`, by name, and a sentence for each file
    that is not believed: it is not in its place, or contradicts itself or the cell without a
    defense.
    """
    found: dict[str, tuple[Row, Baseline]] = {}
    faults: dict[str, str] = {}
    undefended = UndefendedBaselines()
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.json")}
    for name, path in paths.items():
        try:
            cell = read_cell(path)
            if wrong := misplaced(cell, path, folder):
                raise RecordError(wrong)
            if not is_reference(path):
                found[name] = row_of(cell, one_line(name), ledger), Baseline.stated(cell)
        except RecordError as error:
            faults[name] = one_line(error).replace(str(path), "it")
            continue
        undefended.add(Baseline.measured(cell))
    faults |= {
        name: wrong for name, (_, stated) in found.items() if (wrong := undefended.fault(stated))
    }
    return (
        [row for name, (row, _) in sorted(found.items()) if name not in faults],
        [f"{one_line(name)}: {fault}" for name, fault in sorted(faults.items())],
    )


def row_of(cell: Cell, file: str = "", ledger: Ledger | None = None) -> Row:
    """Return the row of a cell. Raises `RecordError` for a cell that contradicts itself."""
    if wrong := contradictions(cell):
        raise RecordError("; ".join(wrong))
    about = cell.cell
    counted = utility_of(ledger or {}, cell.key, cell.digest)
    return Row(
        file=file,
        key=one_line(cell.key),
        where=TableKey(
            label(cell.protocol),
            _method(about.dataset),
            _method(about.model),
            canonical_json(about.recipe),
            about.clean_budget,
        ),
        attack=_method(about.attack),
        defense=_method(about.defense),
        seed=about.seed,
        code=cell.status.code,
        reason=one_line(cell.status.reason),
        stage=one_line(cell.status.stage),
        metrics=_shares(cell.metrics) | _bystanders(cell.metrics) | _above(cell, counted),
        baseline=_shares(cell.baseline),
        hits=_hits(cell),
        detection=dict(_figures(cell.detection or {}, about.attack.params)),
        cost={
            "seconds": cell.cost.defense_seconds,
            "attack_seconds": cell.cost.attack_seconds,
            "peak_bytes": cell.cost.peak_bytes,
            "clean_samples": cell.cost.clean_samples,
        },
        device=one_line(f"{cell.cost.device} {cell.cost.precision}"),
        oracle=cell.flags.oracle,
        stale=cell.flags.stale,
        trust=level_of(ledger or {}, cell.key, cell.digest),
        made=_made(cell.provenance) | _steps(cell.cost.optimizer_steps),
        attacked_model=one_line(cell.attacked_model, 64),
        attack_family=stated_family(cell.provenance, "attack"),
        defense_family=stated_family(cell.provenance, "defense"),
        traces=traces(cell),
        doubts=tuple(
            one_line(doubt) for doubt in [*cell.doubts[:MOST_DOUBTS], *_due(cell, counted)]
        ),
        utility=_counted(counted),
        least_class=counted.least_class if counted else None,
    )


def _above(cell: Cell, counted: Utility | None) -> dict[str, float | None]:
    """Return b, and DER computed from ASR - b, if b was counted; nothing otherwise, so that DER
    stays as it is.
    """
    metrics, baseline = cell.metrics, cell.baseline
    if counted is None or metrics is None or counted.target_rate is None:
        return {}
    found: dict[str, float | None] = {TARGET_RATE: counted.target_rate}
    if baseline is not None:
        der = effectiveness_above(baseline, metrics.acc, metrics.asr, counted)
        found |= {"der": der} if der is not None else {}
    return found


def _due(cell: Cell, counted: Utility | None) -> Iterator[str]:
    """Return the doubt about an ASR that follows from b; nothing where there is none."""
    if counted is not None and cell.metrics is not None:
        doubt = target_doubt(cell.metrics.asr, counted)
        yield from [doubt] if doubt else []


def _counted(counted: Utility | None) -> dict[str, float]:
    figures = counted.model_dump() if counted is not None else {}
    return {name: figures[name] for name in UTILITY_FIGURES if figures.get(name) is not None}


def _method(provided: Any) -> Method:
    return _known_method(provided.model_dump_json())


@lru_cache(maxsize=4096)
def _known_method(text: str) -> Method:
    """Return one object for all cells that name the same plugin with the same parameters."""
    return Method.of(PluginRecord.model_validate_json(text))


def _shares(metrics: Any) -> dict[str, float | None]:
    return {name: getattr(metrics, name) for name in METRICS} if metrics is not None else {}


def _bystanders(metrics: Any) -> dict[str, float | None]:
    """Return the share of triggered bystanders taken for the attacked label, where the cell
    has it.
    """
    value = getattr(metrics, BYSTANDERS, None)
    return {BYSTANDERS: value} if isinstance(value, float) and 0 <= value <= 1 else {}


def _made(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Return where, with what and from which data a result was made. Facts that the result does not
    state are left out.
    """
    libraries, prints = provenance.get("libraries"), provenance.get("fingerprints")
    said = {name: provenance.get(name) for name in SHOWN_PROVENANCE}
    said["torch"] = libraries.get("torch") if isinstance(libraries, dict) else None
    if isinstance(prints, dict):
        said |= {f"{name} data": prints.get(name) for name in ("train", "test")}
    return {
        name: one_line(value, 200)
        for name, value in said.items()
        if value not in (None, "", False, 0)
    }


def _steps(made: int | None) -> dict[str, str]:
    return {} if made is None else {"steps of optimizers": f"{made:,}"}


def stated_family(provenance: Mapping[str, Any], kind: str) -> str:
    """Return the family of the attack or the defense, where the result says it; earlier ones called
    it the stage.
    """
    families = provenance.get("families", provenance.get("stages"))
    return one_line(families.get(kind, ""), 40) if isinstance(families, dict) else ""


def _hits(cell: Cell) -> dict[str, tuple[int, int]]:
    counts = cell.counts
    if counts is None:
        return {}
    found = {"acc": (counts.clean_hits, counts.clean)}
    if counts.triggered:
        found["asr"] = (counts.attack_hits, counts.triggered)
        if counts.true_hits is not None:
            found["rc"] = (counts.true_hits, counts.triggered)
    return found


def _figures(
    detection: Mapping[str, Any], attack: Mapping[str, Any]
) -> Iterator[tuple[str, float]]:
    """Yield the figures of a detector that are shares. Of a model detector, `named` is whether it
    flags a class that is attacked, and `highest` its largest score.
    """
    for name in ("auroc", "tpr_at_1_fpr", "tpr_at_5_fpr", "tpr", "fpr", "flagged"):
        value = detection.get(name)
        if isinstance(value, bool | int | float) and 0 <= value <= 1:
            yield name, float(value)
    flagged = detection.get("flagged_classes")
    if isinstance(flagged, list):
        yield "named", float(any(label in _attacked(detection, attack) for label in flagged))
    scores = detection.get("scores")
    if (
        isinstance(scores, list)
        and scores
        and all(isinstance(s, int | float) and math.isfinite(s) for s in scores)
    ):
        yield "highest", float(max(scores))


def _attacked(detection: Mapping[str, Any], attack: Mapping[str, Any]) -> list[Any]:
    """Return the classes that are attacked. A result that does not say them is of an attack towards
    its `target` alone.
    """
    said = detection.get("attacked_classes")
    return said if isinstance(said, list) else [attack.get("target")]
