"""What a plugin does to the process that it runs in: settings, generators, files."""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import torch

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_recorders: list[list[str]] = []
_installed: list[bool] = []


def settings() -> dict[str, Any]:
    """What is set for the whole process and must be as before when a plugin returns."""
    return {
        "default dtype": torch.get_default_dtype(),
        "number of threads": torch.get_num_threads(),
        "grad mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "working directory": str(Path.cwd()),
    }


def restore(before: dict[str, Any]) -> None:
    """Put the settings back, so that one plugin's fault is not the next one's."""
    torch.set_default_dtype(before["default dtype"])
    torch.set_num_threads(before["number of threads"])
    torch.set_grad_enabled(before["grad mode"])
    torch.use_deterministic_algorithms(before["deterministic algorithms"])
    os.chdir(before["working directory"])


def generators() -> dict[str, Any]:
    """The states of the process-wide generators."""
    return {
        "random": random.getstate(),
        "numpy.random": tuple(map(str, numpy.random.get_state())),
        "torch": torch.get_rng_state().numpy().tobytes(),
    }


@contextmanager
def writes() -> Iterator[list[str]]:
    """The files that are opened for writing, made, moved or removed inside, other than temporary ones."""
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
    if isinstance(given[0], str | bytes | os.PathLike) and not _allowed(os.path.abspath(os.fsdecode(given[0]))):  # noqa: PTH100
        for recorder in _recorders:
            recorder.append(os.fsdecode(given[0]))


def _allowed(path: str) -> bool:
    """Temporary files outside of the working directory, devices, byte code of modules that are imported on the way."""
    here, temporary = str(Path.cwd()), tempfile.gettempdir()
    if path.startswith(here + os.sep) and here != temporary:
        return "__pycache__" in path
    return path.startswith((temporary + os.sep, "/dev/", "/proc/")) or "__pycache__" in path
