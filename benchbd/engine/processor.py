"""The processor on which numbers are computed. The same seed gives the same bits only on processors
of one kind, because another instruction set adds in another order.
"""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

LIMITING_VARIABLES = ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")
"""Environment variables by which kernels are kept from instructions that the processor has."""

_BF16 = {"avx512_bf16": "_is_avx512_bf16_supported", "amx_tile": "_is_amx_tile_supported"}


@dataclass(frozen=True)
class Processor:
    """A kind of processor. name: the name that the processor gives itself. instructions: those of
    its instruction sets that torch uses, as manuals call them, and the limits that the environment
    sets.
    """

    name: str
    instructions: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}: {', '.join(self.instructions)}"

    def to_json(self) -> dict[str, str]:
        """Return the processor as it is recorded in the provenance of a result."""
        return {"processor": self.name, "instructions": " ".join(self.instructions)}


def this_processor() -> Processor:
    """Return the processor of this machine, with the instruction sets that torch uses in this
    process.
    """
    limits = [f"{name}={os.environ[name]}" for name in LIMITING_VARIABLES if os.environ.get(name)]
    used = torch.backends.cpu.get_cpu_capability()
    return Processor(_name(), (used, *bf16_instructions(), *limits))


def bf16_instructions() -> list[str]:
    """Return the instruction sets for bfloat16 that this processor has, as manuals call them."""
    return [name for name, test in _BF16.items() if getattr(torch.cpu, test, bool)()]


@cache
def _name() -> str:
    """Return the name that the processor gives itself. Virtual machines shorten it, so the numbers
    of its family and its model are added where they are known.
    """
    facts: dict[str, str] = {}
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            what, _, value = line.partition(":")
            facts.setdefault(what.strip(), value.strip())
    name = facts.get("model name") or platform.processor() or platform.machine()
    numbers = [f"{what} {facts[what]}" for what in ("cpu family", "model") if what in facts]
    return f"{name} ({', '.join(numbers)})" if numbers else name
