"""A search for seeds that disagree with the other seeds of their cell. It works without torch, so
that a listing of thousands of cells is quick.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping

from benchbd.measure.shares import percent

FAR_SHARE = 0.1
"""A share. A seed may always lie so far from the median of its siblings, however small their spread
is.
"""

OUTLIER_DEVIATIONS = 3.0

COMPARED_METRICS = ("acc", "asr", "rc")
"""The metrics by which seeds are compared."""


def stray_doubts(shares: Mapping[int, Mapping[str, float | None]]) -> Iterator[tuple[int, str]]:
    """Yield the seeds that lie far from their siblings, with the sentence that says so. shares: for
    each seed, the shares in [0, 1] by metric; None where there was no image to classify.
    """
    for name in COMPARED_METRICS:
        values = {
            seed: value for seed, mine in shares.items() if (value := mine.get(name)) is not None
        }
        for seed in outlying(values):
            share = percent(values[seed])
            yield seed, f"seed {seed} lies far from its siblings in {name.upper()}: {share} %"


def outlying(values: Mapping[int, float]) -> tuple[int, ...]:
    """Return the seeds whose value lies far from those of their siblings: farther from the median
    than `FAR_SHARE` and than three standard deviations, estimated from the median absolute
    deviation.
    """
    if len(values) < 3:
        return ()
    middle = statistics.median(values.values())
    spread = 1.4826 * statistics.median(abs(value - middle) for value in values.values())
    return tuple(
        seed
        for seed, value in values.items()
        if abs(value - middle) > max(FAR_SHARE, OUTLIER_DEVIATIONS * spread)
    )
