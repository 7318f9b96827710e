"""What a batch is made of, for attacks that poison batches: whole images, so that fractions of one
are dropped.
"""

from __future__ import annotations

from benchbd.api import ConfigError


def shares(who: str, batch: int, poison_ratio: float, **cover: float) -> list[int]:
    """How many images of a batch are poisoned, cover and clean; int() of each share.

    cover: under its name as a parameter of `who`, the share that is cover; without it, two counts
    are given. Raises `ConfigError` in the name of `who` when a share that is wanted is less than
    one image, or when they exceed the batch.
    """
    wanted = {"poison_ratio": poison_ratio} | cover
    counts = [int(batch * ratio) for ratio in wanted.values()]
    for (name, ratio), count in zip(wanted.items(), counts, strict=True):
        if not count and (ratio or name == "poison_ratio"):
            raise ConfigError(
                f"{who}: {name} {ratio:g} of a batch of {batch} is less than one image; raise it "
                "or batch_size"
            )
    if sum(counts) > batch:
        raise ConfigError(
            f"{who}: expected {' and '.join(wanted)} to add up to at most a whole batch, "
            f"got {' and '.join(map(str, counts))} of {batch} images; lower one of them"
        )
    return [*counts, batch - sum(counts)]
