"""Device, number format, memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchbd.engine import hardware as module
from benchbd.engine.hardware import (
    Hardware,
    default_precision,
    hardware,
    memory_peak,
    visible_gpus,
)
from benchbd.errors import ConfigError

CPU = torch.device("cpu")


@pytest.mark.parametrize("native", [True, False])
def test_auto_takes_bf16_where_it_is_native(monkeypatch: pytest.MonkeyPatch, native: bool) -> None:
    monkeypatch.setattr(module, "_cpu_has_bf16", lambda: native)
    monkeypatch.delenv("BENCHBD_PRECISION", raising=False)
    assert hardware("cpu").bf16 is native
    assert hardware("cpu", "bf16").bf16
    assert not hardware("cpu", "fp32").bf16


@pytest.mark.parametrize("said", ["fp32", "bf16"])
def test_the_environment_says_what_auto_means_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, said: Any
) -> None:
    other: Any = {"fp32": "bf16", "bf16": "fp32"}[said]
    monkeypatch.setattr(module, "_cpu_has_bf16", lambda: said == "fp32")
    monkeypatch.setenv("BENCHBD_PRECISION", said)
    assert hardware("cpu").precision == said
    assert hardware("cpu", other).precision == other
    with default_precision(other):
        assert hardware("cpu").precision == other
    with default_precision("auto"):
        assert hardware("cpu").precision == said


@pytest.mark.parametrize(("said", "native"), [("", True), ("auto", True), ("auto", False)])
def test_an_environment_that_says_nothing_leaves_it_to_the_hardware(
    monkeypatch: pytest.MonkeyPatch, said: str, native: bool
) -> None:
    monkeypatch.setattr(module, "_cpu_has_bf16", lambda: native)
    monkeypatch.setenv("BENCHBD_PRECISION", said)
    assert hardware("cpu").bf16 is native


def test_a_format_in_the_environment_that_there_is_not_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BENCHBD_PRECISION", "fp16")
    with pytest.raises(
        ConfigError, match="BENCHBD_PRECISION is 'fp16'; expected one of auto, fp32, bf16"
    ):
        hardware("cpu")


def test_autocast_changes_the_format_only_where_it_was_asked_for() -> None:
    left = torch.ones(2, 2)
    with Hardware(CPU, bf16=True).autocast(left):
        assert (left @ left).dtype == torch.bfloat16
    with Hardware(CPU, bf16=False).autocast(left):
        assert (left @ left).dtype == torch.float32
    assert (Hardware(CPU, True).precision, Hardware(CPU, False).precision) == ("bf16", "fp32")
    assert (
        Hardware(CPU, True).deterministic and not Hardware(torch.device("cuda"), True).deterministic
    )


def test_a_single_image_is_trained_on_in_float32() -> None:
    single = torch.ones(1, 2)
    with Hardware(CPU, bf16=True).autocast(single):
        assert (single @ single.T).dtype == torch.float32
    with torch.no_grad(), Hardware(CPU, bf16=True).autocast(single):
        assert (single @ single.T).dtype == torch.bfloat16


def test_auto_takes_a_gpu_if_there_is_one() -> None:
    assert hardware().device.type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["cuda:99", "quantum", "", "cpu:x"])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(
        ConfigError,
        match=f"cannot use the device '{name}': .*; `benchbd doctor` shows what is there",
    ):
        hardware(name)


def test_the_peak_is_that_of_this_process_in_bytes() -> None:
    assert 50 * 2**20 < memory_peak(CPU) < 2**40


@pytest.mark.parametrize(
    ("device", "count", "shown", "expected"),
    [
        ("auto", 0, None, ()),
        ("auto", 2, None, ("0", "1")),
        ("cuda", 2, "4, GPU-5ab", ("4", "GPU-5ab")),
        ("auto", 1, "4,9", ("4",)),
        ("auto", 0, "", ()),
        ("cuda:1", 2, None, ()),
        ("cpu", 2, None, ()),
    ],
)
def test_a_run_is_spread_over_the_gpus_that_it_is_shown(
    device: str,
    count: int,
    shown: str | None,
    expected: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The driver passes over what CUDA_VISIBLE_DEVICES names after a GPU that is not there."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if shown is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    assert visible_gpus(device) == expected
