"""Seeds that disagree with the others of their cell. Without torch, so that a listing of thousands
answers at once.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping

FAR = 0.1
"""How far a seed may lie from the median of its siblings, whatever their spread."""

OUTLIER_DEVIATIONS = 3.0


def outlying(values: Mapping[int, float]) -> tuple[int, ...]:
    """Seeds whose value lies far from their siblings': beyond `FAR`, and three deviations (from the
    MAD), of the median.
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
