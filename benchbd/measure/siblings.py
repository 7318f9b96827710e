"""Seeds that disagree with the others of their cell. Without torch, so that a listing of thousands
answers at once.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping

from benchbd.measure.shares import percent

FAR = 0.1
"""How far a seed may lie from the median of its siblings, whatever their spread."""

OUTLIER_DEVIATIONS = 3.0

COMPARED = ("acc", "asr", "rc")
"""The metrics in which seeds are held against each other."""


def stray_doubts(shares: Mapping[int, Mapping[str, float | None]]) -> Iterator[tuple[int, str]]:
    """Yield seeds that lie far from their siblings, with the sentence that says so. shares: of each
    seed, by metric, in [0, 1]; None where there was no image to ask.
    """
    for name in COMPARED:
        values = {
            seed: value for seed, mine in shares.items() if (value := mine.get(name)) is not None
        }
        for seed in outlying(values):
            share = percent(values[seed])
            yield seed, f"seed {seed} lies far from its siblings in {name.upper()}: {share} %"


def outlying(values: Mapping[int, float]) -> tuple[int, ...]:
    """Return seeds whose value lies far from their siblings': beyond `FAR`, and three deviations
    (from the MAD), of the median.
    """
    if len(values) < 3:
        return ()
    middle = statistics.median(values.values())
    spread = 1.4826 * statistics.median(abs(value - middle) for value in values.values())
    return tuple(
        seed
        for seed, value in values.items()
        if abs(value - middle) > max(FAR, OUTLIER_DEVIATIONS * spread)
    )
