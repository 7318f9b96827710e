"""Mapped tensors: they hold what is written, and copies of them cost only what is changed."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
import torch

from benchbd.data import mapped as module
from benchbd.data.images import ImageSet
from benchbd.data.mapped import is_mapped, mapped, room_for, writable_copy
from benchbd.data.poisoned import PoisonedSet, State

SHAPE = (600, 3, 8, 8)


def filled() -> torch.Tensor:
    images = mapped(SHAPE)
    images.copy_(torch.arange(600, dtype=torch.int64).remainder(251).to(torch.uint8)[:, None, None, None].expand(SHAPE))
    return images


def anonymous_bytes() -> int:
    """Memory of this process that is not backed by files."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def test_what_is_written_is_held_and_slices_know_where_they_lie() -> None:
    images = filled()
    assert images[250, 1, 7, 7] == 250 and images[251, 0, 0, 0] == 0
    assert is_mapped(images) and is_mapped(images[5:9])
    assert not is_mapped(images[torch.tensor([1, 2])]) and not is_mapped(torch.zeros(3, dtype=torch.uint8))


def test_a_copy_can_be_written_to_and_the_original_stays() -> None:
    images = filled()
    copy = writable_copy(images)
    copy[7] = 99
    assert is_mapped(copy)
    assert images[7, 0, 0, 0] == 7 and copy[7, 2, 3, 3] == 99
    assert torch.equal(copy[8:], images[8:])
    part = writable_copy(images[10:20])
    part[0] = 1
    assert images[10, 0, 0, 0] == 10 and not is_mapped(part)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells anonymous memory apart")
def test_a_poisoned_set_takes_memory_for_the_poison_alone() -> None:
    size = 64 * 2**20
    images = mapped((size // 3072, 3, 32, 32))
    images[:] = 5
    clean = ImageSet(images, torch.zeros(len(images), dtype=torch.int64), ("only", "other"))
    one = torch.tensor([3])
    poisoned = PoisonedSet(clean, one, images[one] + 1, one * 0 + 1, torch.tensor([State.POISONED], dtype=torch.uint8))
    before = anonymous_bytes()
    seen = poisoned.as_seen()
    assert int(seen.images[3].sum()) == 6 * 3072 and int(seen.images.sum(dtype=torch.int64)) == 5 * images.numel() + 3072
    assert anonymous_bytes() - before < size // 4
    assert clean.statistics() == ((round(5 / 255, 6),) * 3, (round(1 / 255, 6),) * 3)


def test_only_what_is_too_large_is_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_mapped(room_for(SHAPE))
    free = psutil.virtual_memory()._replace(available=100_000)
    monkeypatch.setattr(module.psutil, "virtual_memory", lambda: free)
    assert is_mapped(room_for(SHAPE)) and not is_mapped(room_for((10, 3, 8, 8)))
