"""Settings of the whole process: a change is seen and put back; what libraries do when they are
imported is let pass.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch

from benchbd.testing.process_state import SETTINGS, VARIABLES, restore, settings

CHANGES: dict[str, Callable[[], Any]] = {
    "default dtype": lambda: torch.set_default_dtype(torch.float64),
    "default device": lambda: torch.set_default_device("meta"),
    "number of threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "grad mode": lambda: torch.set_grad_enabled(False),
    "anomaly mode": lambda: torch.autograd.set_detect_anomaly(True),
    "deterministic algorithms": lambda: torch.use_deterministic_algorithms(True),
    "float32 matmul precision": lambda: torch.set_float32_matmul_precision("medium"),
    "cudnn.benchmark": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "working directory": lambda: os.chdir(".."),
} | {name: partial(os.environ.__setitem__, name, "7") for name in VARIABLES}


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


def test_inference_mode_and_warnings_are_seen(before: dict[str, Any]) -> None:
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        changed = [name for name, now in settings().items() if now != before[name]]
    assert set(changed) == {"grad mode", "inference mode", "filters of all warnings"}
    assert CHANGES.keys() | set(changed) == SETTINGS.keys()


def test_what_libraries_do_when_they_are_imported_is_no_change(
    before: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KMP_INIT_AT_FORK", "FALSE")
    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=DeprecationWarning, module="^sklearn")
        assert settings() == before
