"""What a plugin does to the process that it runs in: settings, generators, files."""

from __future__ import annotations

import os
import random
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import torch

ProcessSetting = tuple[Callable[[], Any], Callable[[Any], object]]
"""How it is read, how it is put back."""

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
VARIABLES = (
    "BENCHBD_DATA",
    "BENCHBD_PRECISION",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "PYTHONHASHSEED",
)
"""Of the environment, what steers this package, Python and torch; libraries set others when they
are imported.
"""
_recorders: list[list[str]] = []
_installed: list[bool] = []


def _default_device(device: torch.device) -> None:
    """None is not the same as the CPU: it leaves nothing behind that every later call would have to
    pass.
    """
    torch.set_default_device(None)
    if torch.get_default_device() != device:
        torch.set_default_device(device)


def _blanket_filters() -> list[str]:
    """What is done with warnings of all kinds. Filters of one kind are left out: libraries add them
    when they are imported.
    """
    return [
        action
        for action, text, kind, module, line in warnings.filters
        if kind is Warning and not (text or module or line)
    ]


def _variable(name: str) -> ProcessSetting:
    def put(value: str | None) -> None:
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value

    return partial(os.environ.get, name), put


def _leave(_: object) -> None:
    """For what ends with the context that it was set in."""


SETTINGS: dict[str, ProcessSetting] = {
    "default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "default device": (torch.get_default_device, _default_device),
    "number of threads": (torch.get_num_threads, torch.set_num_threads),
    "grad mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "inference mode": (torch.is_inference_mode_enabled, _leave),
    "anomaly mode": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "deterministic algorithms": (
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
    "float32 matmul precision": (
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    "cudnn.benchmark": (
        partial(getattr, torch.backends.cudnn, "benchmark"),
        partial(setattr, torch.backends.cudnn, "benchmark"),
    ),
    "filters of all warnings": (_blanket_filters, _leave),
    "working directory": (Path.cwd, os.chdir),
    **{name: _variable(name) for name in VARIABLES},
}
"""What is set for the whole process and must be as before when a plugin returns."""


def settings() -> dict[str, Any]:
    """What is set now."""
    return {name: read() for name, (read, _) in SETTINGS.items()}


def restore(before: dict[str, Any]) -> None:
    """Put back what differs, so that one plugin's fault is not the next one's."""
    for name, (read, put) in SETTINGS.items():
        if read() != before[name]:
            put(before[name])


def generators() -> dict[str, Any]:
    """The states of the process-wide generators."""
    return {
        "random": random.getstate(),
        "numpy.random": tuple(map(str, numpy.random.get_state())),
        "torch": torch.get_rng_state().numpy().tobytes(),
    }


@contextmanager
def writes() -> Iterator[list[str]]:
    """The files that are opened for writing, made, moved or removed inside, other than temporary
    ones.
    """
    if not _installed:
        sys.addaudithook(_hear)
        _installed.append(True)
    tempfile.gettempdir()  # found now: it is found by writing, which the hook would ask about again
    seen: list[str] = []
    _recorders.append(seen)
    try:
        yield seen
    finally:
        _recorders.remove(seen)


def _hear(event: str, given: tuple[Any, ...]) -> None:
    if not _recorders or event not in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"):
        return
    if event == "open" and not (isinstance(given[2], int) and given[2] & WRITING):
        return
    if isinstance(given[0], str | bytes | os.PathLike) and not _allowed(
        os.path.abspath(os.fsdecode(given[0]))  # noqa: PTH100
    ):
        for recorder in _recorders:
            recorder.append(os.fsdecode(given[0]))


def _allowed(path: str) -> bool:
    """Temporary files outside of the working directory, devices, byte code of modules that are
    imported on the way.
    """
    here, temporary = str(Path.cwd()), tempfile.gettempdir()
    if path.startswith(here + os.sep) and here != temporary:
        return "__pycache__" in path
    return path.startswith((temporary + os.sep, "/dev/", "/proc/")) or "__pycache__" in path
