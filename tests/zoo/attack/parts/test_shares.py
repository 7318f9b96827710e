"""What a batch is made of: whole images of each share, and draws where there is less than one."""

from __future__ import annotations

import pytest
import torch

from benchbd.errors import ConfigError
from benchbd_zoo.attack.parts.shares import shares


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("batch", "ratio", "cover", "expected"),
    [
        (32, 0.19, {}, [6, 26]),
        (10, 0.1, {}, [1, 9]),
        (20, 1.0, {}, [20, 0]),
        (32, 0.19, {"neg_rate": 0.3}, [6, 9, 17]),
        (20, 0.2, {"neg_rate": 0.0}, [4, 0, 16]),
    ],
)
def test_fractions_of_an_image_are_dropped_and_nothing_is_drawn(
    batch: int, ratio: float, cover: dict[str, float], expected: list[int]
) -> None:
    rng = seeded()
    split = shares("bpp", batch, rng, ratio, **cover)
    assert [split(batch) for _ in range(3)] == [expected] * 3
    assert torch.equal(rng.get_state(), seeded().get_state())


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("batch", "ratio"), [(128, 0.001), (64, 0.01), (20, 0.045)])
def test_of_a_share_below_one_image_as_many_batches_have_one(
    batch: int, ratio: float, seed: int
) -> None:
    """As `generalize_to_lower_pratio` of SCLBD/BackdoorBench at f02e353 (attack/wanet.py), whose
    batches have one image with chance ratio * batch; four standard deviations are allowed.
    """
    split, batches = shares("wanet", batch, seeded(seed), ratio), 20_000
    poisoned = [split(batch)[0] for _ in range(batches)]
    chance = batch * ratio
    spread = (chance * (1 - chance) / batches) ** 0.5
    assert set(poisoned) == {0, 1}
    assert sum(poisoned) / batches == pytest.approx(chance, abs=4 * spread)


def test_small_shares_are_drawn_each_by_itself_from_the_seed() -> None:
    def drawn(seed: int) -> list[list[int]]:
        split = shares("bpp", 20, seeded(seed), 0.02, neg_rate=0.025)
        return [split(20) for _ in range(400)]

    counts = drawn(0)
    assert counts == drawn(0) != drawn(1)
    assert {(poisoned, cover) for poisoned, cover, _ in counts} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert {sum(count) for count in counts} == {20}


def test_a_small_cover_leaves_the_poisoned_images_as_many() -> None:
    split = shares("bpp", 20, seeded(), 0.2, neg_rate=0.01)
    counts = [split(20) for _ in range(100)]
    assert {poisoned for poisoned, _, _ in counts} == {4}
    assert {cover for _, cover, _ in counts} == {0, 1}


def test_no_poison_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="bpp: expected poison_ratio above 0, got 0"):
        shares("bpp", 20, seeded(), 0.0)


def test_more_than_a_batch_is_refused() -> None:
    with pytest.raises(
        ConfigError,
        match=r"poison_ratio and neg_rate to add up .*, got 12 and 10 of 20 images",
    ):
        shares("bpp", 20, seeded(), 0.6, neg_rate=0.5)
    with pytest.raises(ConfigError, match="got 1 and 1 of 1 images"):
        shares("bpp", 1, seeded(), 0.1, neg_rate=0.1)
