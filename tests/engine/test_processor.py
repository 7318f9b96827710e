"""The processor by its name, and what kernels may use of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchbd.engine import processor
from benchbd.engine.processor import Processor, this_processor


def test_it_has_a_name_and_what_torch_uses() -> None:
    here = this_processor()
    assert here.name and here.instructions[0] == torch.backends.cpu.get_cpu_capability()
    assert str(here).startswith(f"{here.name}: {here.instructions[0]}")


def test_family_and_model_tell_processors_of_one_name_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cpuinfo = "processor : 0\ncpu family : 6\nmodel : 143\nmodel name : Xeon\n\nmodel : 1\n"
    monkeypatch.setattr(Path, "read_text", lambda self: cpuinfo)
    assert processor._name.__wrapped__() == "Xeon (cpu family 6, model 143)"


def test_a_limit_of_the_environment_makes_it_another_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    free = this_processor()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    limited = this_processor()
    assert limited == Processor(free.name, (*free.instructions, "ONEDNN_MAX_CPU_ISA=AVX2"))


def test_bf16_instructions_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert processor.bf16_instructions() == ["avx512_bf16"]
    noted = this_processor().to_json()
    assert noted["instructions"].split()[1] == "avx512_bf16"
