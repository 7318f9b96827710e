"""Mapped tensors: they hold what is written, and copies of them cost only what is changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch

from benchbd.data import mapped as module
from benchbd.data.mapped import is_mapped, mapped, room_for, writable_copy

SHAPE = (600, 3, 8, 8)


def filled() -> torch.Tensor:
    images = mapped(SHAPE)
    images.copy_(
        torch.arange(600, dtype=torch.int64)
        .remainder(251)
        .to(torch.uint8)[:, None, None, None]
        .expand(SHAPE)
    )
    return images


PROGRAM = """
import torch
from pathlib import Path
from benchbd.data.images import ImageSet
from benchbd.data.mapped import mapped
from benchbd.data.poisoned import PoisonedSet, State

def anonymous_bytes():
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024

images = mapped((64 * 2**20 // 3072, 3, 32, 32))
images[:] = 5
clean = ImageSet(images, torch.zeros(len(images), dtype=torch.int64), ("only", "other"))
one = torch.tensor([3])
state = torch.tensor([State.POISONED], dtype=torch.uint8)
poisoned = PoisonedSet(clean, one, images[one] + 1, one * 0 + 1, state)
before = anonymous_bytes()
seen = poisoned.as_seen()
total = sum(int(part.sum(dtype=torch.int64)) for part in seen.images.split(100))
small = anonymous_bytes() - before < 16 * 2**20
print(small, int(seen.images[3].sum()), total - 5 * images.numel(), clean.statistics()[0])
"""
"""Of 64 MiB, all at 5, one image is poisoned to 6; in a process of its own, whose memory nobody
else uses.
"""


def test_what_is_written_is_held_and_slices_know_where_they_lie() -> None:
    images = filled()
    assert images[250, 1, 7, 7] == 250 and images[251, 0, 0, 0] == 0
    assert is_mapped(images) and is_mapped(images[5:9])
    assert not is_mapped(images[torch.tensor([1, 2])]) and not is_mapped(
        torch.zeros(3, dtype=torch.uint8)
    )


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


def test_a_copy_of_a_copy_holds_what_was_written_to_it() -> None:
    copy = writable_copy(filled())
    copy[7] = 99
    again = writable_copy(copy)
    assert torch.equal(again, copy)
    again[8] = 1
    assert copy[8, 0, 0, 0] == 8


def test_a_copy_has_the_order_of_what_is_copied() -> None:
    turned = filled().permute(0, 2, 3, 1)
    turned[3, 2, 1, 0] = 200
    copy = writable_copy(turned)
    assert torch.equal(copy, turned)
    copy[0] = 9
    assert turned[0, 0, 0, 0] == 0


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="only Linux tells anonymous memory apart"
)
def test_a_poisoned_set_takes_memory_for_the_poison_alone() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.stdout == f"True {6 * 3072} 3072 {(round(5 / 255, 6),) * 3}\n", done.stderr


def test_only_what_is_too_large_is_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_mapped(room_for(SHAPE))
    free = psutil.virtual_memory()._replace(available=100_000)
    monkeypatch.setattr(module.psutil, "virtual_memory", lambda: free)
    assert is_mapped(room_for(SHAPE)) and not is_mapped(room_for((10, 3, 8, 8)))
