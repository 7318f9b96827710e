"""Named random streams: every random draw comes from a generator that is derived from a name.

A stream's seed is the first eight bytes of `sha256` over the JSON list [base seed, stream,
parts...]. The streams `poison`, `init`, `shuffle`, `augment` and `budget` depend on the attack's
side only, so that all defenses of a seed face the same backdoored model; `defense` streams name the
defense too.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy
import torch


def stream_seed(base: int, stream: str, *parts: str | int) -> int:
    """Return the seed of a named stream, a whole number below 2**63."""
    text = json.dumps([base, stream, *parts], separators=(",", ":"), ensure_ascii=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@dataclass(frozen=True)
class Seeds:
    """All streams of one base seed."""

    base: int

    def generator(self, stream: str, *parts: str | int) -> torch.Generator:
        """Return a fresh CPU generator at the start of the named stream."""
        return torch.Generator().manual_seed(stream_seed(self.base, stream, *parts))

    def seed(self, stream: str, *parts: str | int) -> int:
        """Return the seed of the named stream, for what takes no generator."""
        return stream_seed(self.base, stream, *parts)


def fork(rng: torch.Generator) -> torch.Generator:
    """Return a generator for a part of the work, on the CPU, seeded by one draw from `rng`. What
    that part draws then does not affect later draws.

    >>> part = fork(rng)
    >>> torch.rand(2, generator=part).shape
    torch.Size([2])
    """
    return torch.Generator().manual_seed(draw_seed(rng))


def draw_seed(rng: torch.Generator) -> int:
    """Return one whole number from 0 to 2**62 - 1 from `rng`, to seed something that takes no
    generator.

    >>> 0 <= draw_seed(rng) < 2**62
    True
    """
    return int(torch.randint(0, 2**62, (), generator=rng))


@contextmanager
def global_random_state(seed: int) -> Iterator[None]:
    """Seed the generators of the process (of Python, NumPy and torch) by `seed` inside the `with`
    block, and restore them afterwards. It is for code whose draws a method cannot control, such as
    dropout or a library.

    >>> with global_random_state(draw_seed(rng)):
    ...     layer = nn.Linear(16, 4)
    """
    python, legacy = random.getstate(), numpy.random.get_state()
    # reading the state of a GPU would start it
    used = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=used):
        try:
            random.seed(seed)
            numpy.random.seed(seed % 2**32)
            torch.manual_seed(seed)
            yield
        finally:
            random.setstate(python)
            numpy.random.set_state(legacy)
