"""What a batch is made of, for attacks that poison batches: whole images, so that fractions of one
are dropped, and images drawn at random where a batch holds less than one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from benchbd.api import ConfigError, fork


def shares(
    who: str, batch: int, rng: torch.Generator, poison_ratio: float, **cover: float
) -> Callable[[int], list[int]]:
    """Gives for every batch anew, from the number of its images, how many of them are poisoned,
    cover and clean. batch: the images of the smallest batch.

    A share of at least one image is its int() in every batch. A smaller one is one image in as many
    batches as make up that share, chosen at random, and none in the others (as BackdoorBench does).
    Nothing is drawn from `rng` where there is no such share.

    cover: under its name as a parameter of `who`, the share that is cover; without it, two counts
    are given. Raises `ConfigError` in the name of `who` for a `poison_ratio` of 0, and when the
    shares exceed the batch.
    """
    ratios = (poison_ratio, *cover.values())
    least = [batch * ratio for ratio in ratios]
    if not poison_ratio:
        raise ConfigError(
            f"{who}: expected poison_ratio above 0, got 0; for a network without a backdoor "
            "take the attack clean"
        )
    most = [max(int(share), math.ceil(min(share, 1))) for share in least]
    if sum(most) > batch:
        raise ConfigError(
            f"{who}: expected {' and '.join(['poison_ratio', *cover])} to add up to at most a "
            f"whole batch, got {' and '.join(map(str, most))} of {batch} images; lower one of them"
        )
    draws = fork(rng) if any(0 < share < 1 for share in least) else rng

    def drawn(size: int) -> list[int]:
        counts = [_count(size * ratio, draws) for ratio in ratios]
        return [*counts, size - sum(counts)]

    return drawn


def _count(share: float, draws: torch.Generator) -> int:
    """Images of one batch for a share in images."""
    if share >= 1 or not share:
        return int(share)
    return int(torch.rand((), generator=draws, dtype=torch.float64).item() < share)
