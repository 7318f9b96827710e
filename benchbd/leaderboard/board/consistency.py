"""What in a cell cannot be true together, seen from the cell alone."""

from __future__ import annotations

from benchbd.measure.shares import Counts, Metrics
from benchbd.record.cell import Cell
from benchbd.record.keys import KEY_DIGITS

MOST = 2**53
"""The largest figure of which every table keeps all digits."""


def contradictions(cell: Cell) -> list[str]:
    """Sentences, one for each contradiction; none for a cell that can be believed."""
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
    """Figures that no machine measures, and that would spoil the sums they go into."""
    figures = cell.cost.model_dump(exclude={"device", "precision"}) | {"seed": cell.cell.seed}
    return [f"{name} is {value:.3g}" for name, value in figures.items() if not 0 <= value <= MOST]


def _impossible(counts: Counts) -> list[str]:
    faults = []
    if not 0 <= counts.clean_hits <= counts.clean or not 0 < counts.clean <= MOST:
        faults.append(f"{counts.clean_hits} hits of {counts.clean} clean images")
    true_hits = counts.true_hits or 0
    if (
        min(counts.attack_hits, true_hits) < 0
        or counts.attack_hits + true_hits > counts.triggered
        or counts.triggered > MOST
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
    """Without its baseline a defense would have no DER where it fails, and the mean of the others
    for all.
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
