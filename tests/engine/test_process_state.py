"""Settings of the whole process: a change is seen and put back; what libraries do when they are
imported is let pass.
"""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy
import pytest
import torch
from torch.nn.modules.module import register_module_forward_hook

from benchbd.engine.process_state import (
    SETTINGS,
    STEERING_VARIABLES,
    generators,
    preserve_process,
    restore,
    settings,
)

CHANGES: dict[str, Callable[[], Any]] = {
    "default dtype": lambda: torch.set_default_dtype(torch.float64),
    "default device": lambda: torch.set_default_device("meta"),
    "number of threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "grad mode": lambda: torch.set_grad_enabled(False),
    "anomaly mode": lambda: torch.autograd.set_detect_anomaly(True),
    "deterministic algorithms": lambda: torch.use_deterministic_algorithms(True),
    "float32 matmul precision": lambda: torch.set_float32_matmul_precision("medium"),
    "cudnn.benchmark": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16).__enter__(),
    "flushing of denormal numbers": lambda: torch.set_flush_denormal(True),
    "cudnn.deterministic": lambda: setattr(torch.backends.cudnn, "deterministic", True),
    "cudnn.enabled": lambda: setattr(torch.backends.cudnn, "enabled", False),
    "mkldnn.enabled": lambda: setattr(torch.backends.mkldnn, "enabled", False),
    "hooks of all modules and optimizers": lambda: register_module_forward_hook(
        lambda module, inputs, output: output * 2
    ),
    "filters of all warnings": lambda: warnings.simplefilter("always"),
    "umask": lambda: os.umask(0o777),
    "working directory": lambda: os.chdir(".."),
} | {name: partial(os.environ.__setitem__, name, "7") for name in STEERING_VARIABLES}


@pytest.fixture
def before() -> Iterator[dict[str, Any]]:
    were = settings()
    yield were
    restore(were)


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
def test_a_change_is_seen_and_put_back(name: str, before: dict[str, Any]) -> None:
    CHANGES[name]()
    assert [changed for changed, now in settings().items() if now != before[changed]] == [name]
    restore(before)
    assert settings() == before


def test_a_default_device_leaves_nothing_behind(before: dict[str, Any]) -> None:
    torch.set_default_device("meta")
    restore(before)
    assert torch.overrides._get_current_function_mode_stack() == []


def test_inference_mode_is_seen_too(before: dict[str, Any]) -> None:
    with torch.inference_mode():
        changed = [name for name, now in settings().items() if now != before[name]]
    assert set(changed) == {"grad mode", "inference mode"}
    assert CHANGES.keys() | set(changed) == SETTINGS.keys()


def test_an_inference_mode_that_was_never_left_is_left(before: dict[str, Any]) -> None:
    kept_open = torch.inference_mode()
    kept_open.__enter__()
    restore(before)
    weight = torch.ones(1, requires_grad=True)
    assert settings() == before and (weight * 2).requires_grad
    del kept_open
    assert settings() == before


@pytest.mark.parametrize("name", ["all", "mkldnn.matmul", "mkldnn.conv"])
def test_the_newer_switches_of_precision_are_put_back(name: str, before: dict[str, Any]) -> None:
    """With the older one they contradict each other, and PyTorch does not say which one holds."""
    owner = torch.backends
    for part in name.replace("all", "").split("."):
        owner = getattr(owner, part) if part else owner
    owner.fp32_precision = "tf32"  # type: ignore[attr-defined]
    assert settings() != before
    restore(before)
    assert settings() == before


def test_what_libraries_do_when_they_are_imported_is_no_change(
    before: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KMP_INIT_AT_FORK", "FALSE")
    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=DeprecationWarning, module="^sklearn")
        assert settings() == before


def test_all_of_a_process_is_put_back_and_told_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THERE_BEFORE", "1")
    drawn, environment = generators(), dict(os.environ)
    with (
        pytest.warns(UserWarning, match=r"mine left the process .*dtype, umask, THERE_BEFORE\)"),
        preserve_process("mine") as process,
    ):
        torch.set_default_dtype(torch.float64)
        os.umask(0o077)
        torch.manual_seed(3)
        random.seed(3)
        numpy.random.seed(3)
        os.environ |= {"THERE_BEFORE": "2", "OF_A_LIBRARY": "1"}
    assert process.changed == ["default dtype", "umask", "THERE_BEFORE"]
    assert (generators(), dict(os.environ)) == (drawn, environment)


def test_a_process_is_put_back_after_a_failure_too() -> None:
    with (
        pytest.warns(UserWarning, match="mine left the process"),
        pytest.raises(ValueError, match="broken"),
        preserve_process("mine"),
    ):
        torch.set_grad_enabled(False)
        raise ValueError("broken")
    assert torch.is_grad_enabled()


def test_who_leaves_all_as_it_was_is_not_named() -> None:
    with preserve_process("mine") as process, torch.no_grad():
        torch.rand(1)
    assert process.changed == []
