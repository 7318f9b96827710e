"""Named seed streams: every random draw comes from a generator that was derived from a name.

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
    """The seed of a named stream, a whole number below 2**63."""
    text = json.dumps([base, stream, *parts], separators=(",", ":"), ensure_ascii=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@dataclass(frozen=True)
class Seeds:
    """All streams of one base seed."""

    base: int

    def generator(self, stream: str, *parts: str | int) -> torch.Generator:
        """A fresh CPU generator at the start of the named stream."""
        return torch.Generator().manual_seed(stream_seed(self.base, stream, *parts))

    def seed(self, stream: str, *parts: str | int) -> int:
        return stream_seed(self.base, stream, *parts)


def fork(rng: torch.Generator) -> torch.Generator:
    """A generator of its own for a part of the work, seeded by one draw from `rng`."""
    return torch.Generator().manual_seed(draw_seed(rng))


def draw_seed(rng: torch.Generator) -> int:
    """One whole number below 2**62 from `rng`, to seed something that takes no generator."""
    return int(torch.randint(0, 2**62, (), generator=rng))


@contextmanager
def global_random_state(seed: int) -> Iterator[None]:
    """Seed the process-wide generators for a while; put back what was there before.

    For code that draws from them beyond our reach: parameter initialisation, dropout, libraries.
    """
    python, legacy = random.getstate(), numpy.random.get_state()
    used = (
        range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    )  # to look at the state of a GPU starts it
    with torch.random.fork_rng(devices=used):
        try:
            random.seed(seed)
            numpy.random.seed(seed % 2**32)
            torch.manual_seed(seed)
            yield
        finally:
            random.setstate(python)
            numpy.random.set_state(legacy)
