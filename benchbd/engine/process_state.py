"""The state of a process that plugins share: settings, random generators, environment variables and
functions.

If a plugin left it changed, the numbers of the next plugin would change too, so it is recorded
before a plugin runs and restored after it.
"""

from __future__ import annotations

import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import torch

from benchbd.engine.functions import FunctionsSnapshot

ProcessSetting = tuple[Callable[[], Any], Callable[[Any], object]]
"""The function that reads a setting, and the one that restores it."""

Filter = tuple[Any, ...]

MOST_CHANGES_TOLD = 5
"""The most changes that a warning lists for one plugin."""

AUTOCAST_DEVICES = ("cpu", "cuda")
_PRECISIONS: dict[str, Any] = {
    "all": torch.backends,
    "mkldnn": torch.backends.mkldnn,
    **{
        f"mkldnn.{part}": getattr(torch.backends.mkldnn, part) for part in ("matmul", "conv", "rnn")
    },
    "cuda.matmul": torch.backends.cuda.matmul,
}
"""The places where PyTorch takes a float32 precision. A place for which none is set follows the
place before it in its name.
"""

STEERING_VARIABLES = (
    "BENCHBD_DATA",
    "BENCHBD_PRECISION",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "PYTHONHASHSEED",
)
"""The environment variables that steer this package, Python and torch. Others are not compared,
because libraries set some when they are imported.
"""
HOOK_TABLES: tuple[dict[int, Any], ...] = tuple(
    getattr(module, name)
    for module, names in (
        (
            torch.nn.modules.module,
            (
                "_global_forward_pre_hooks",
                "_global_forward_hooks",
                "_global_backward_pre_hooks",
                "_global_backward_hooks",
            ),
        ),
        (
            sys.modules["torch.optim.optimizer"],
            ("_global_optimizer_pre_hooks", "_global_optimizer_post_hooks"),
        ),
    )
    for name in names
)
"""The tables of functions that PyTorch calls at every layer and at every step of an optimizer. They
have no public name.
"""

_inference_modes: list[torch.inference_mode] = []
"""The modes that were entered to replace others. A mode ends when its object is deleted, so they
are held here.
"""


def _default_device(device: torch.device) -> None:
    """Set the default device. None is not the same as the CPU: with None, later calls do not have
    to pass through a torch function mode.
    """
    torch.set_default_device(None)
    if torch.get_default_device() != device:
        torch.set_default_device(device)


def _blanket_filters() -> list[Filter]:
    """Return the filters for warnings of all kinds. Filters of one kind are left out, because
    libraries add them when they are imported.
    """
    return [
        (action, text, kind, module, line)
        for action, text, kind, module, line in warnings.filters
        if kind is Warning and not (text or module or line)
    ]


def _variable(name: str) -> ProcessSetting:
    def put(value: str | None) -> None:
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value

    return partial(os.environ.get, name), put


def _put_filters(before: list[Filter]) -> None:
    """Remove the filters that were added, and append those that were removed."""
    with warnings.catch_warnings():  # Python rereads the filters when this block ends
        pass
    now = _blanket_filters()
    warnings.filters[:] = [  # type: ignore[index]
        *(each for each in warnings.filters if each in before or each not in now),
        *(each for each in before if each not in now),
    ]
    with warnings.catch_warnings():
        pass


def _put_inference_mode(mode: bool) -> None:
    """Enter the inference mode anew. A mode that was entered elsewhere and never left cannot be
    left from here.
    """
    _inference_modes.append(torch.inference_mode(mode))
    _inference_modes[-1].__enter__()


def _float32_precisions() -> dict[str, str]:
    """Return the precision of float32 products, in the terms of PyTorch's older and newer switches.
    When these contradict each other, PyTorch raises an error instead of an answer.
    """
    found = {name: owner.fp32_precision for name, owner in _PRECISIONS.items()}
    try:
        return {"matmul": torch.get_float32_matmul_precision()} | found
    except RuntimeError:
        return {"matmul": "contradictory"} | found


def _put_float32_precisions(before: dict[str, str]) -> None:
    """Restore the precision of float32 products. The older switch moves the newer ones, so the
    newer ones are set last, each after the one it follows.
    """
    if before["matmul"] != "contradictory":
        torch.set_float32_matmul_precision(before["matmul"])
    for name, owner in _PRECISIONS.items():
        owner.fp32_precision = before[name]


def _nesting() -> int:
    """Return how many contexts of autocast are open. PyTorch reports the number only when it is
    changed.
    """
    torch.autocast_increment_nesting()
    return int(torch.autocast_decrement_nesting())


def _autocast() -> tuple[Any, ...]:
    of_devices = [
        (device, torch.is_autocast_enabled(device), torch.get_autocast_dtype(device))
        for device in AUTOCAST_DEVICES
    ]
    return _nesting(), torch.is_autocast_cache_enabled(), *of_devices


def _put_autocast(before: tuple[Any, ...]) -> None:
    """Restore autocast. A context that was never left also keeps copies of weights, which are out
    of date soon, so they are deleted.
    """
    nesting, cache, *of_devices = before
    while _nesting() > nesting:
        torch.autocast_decrement_nesting()
    torch.clear_autocast_cache()
    torch.set_autocast_cache_enabled(cache)
    for device, enabled, dtype in of_devices:
        torch.set_autocast_enabled(device, enabled)
        torch.set_autocast_dtype(device, dtype)


def _flushes_denormals() -> bool:
    """Return whether denormal numbers are flushed to zero. PyTorch can set this but not
    report it.
    """
    return sys.float_info.min / 2 == 0.0


def _deterministic() -> tuple[bool, bool]:
    """Return whether only deterministic algorithms are used, and whether others only give a
    warning.
    """
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )


def _folder() -> Path | None:
    """Return the working directory, or None where it was removed."""
    with suppress(OSError):
        return Path.cwd()
    return None


def _put_folder(folder: Path | None) -> None:
    with suppress(OSError):
        os.chdir(folder or "/")


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _hooks() -> list[dict[int, Any]]:
    return [dict(table) for table in HOOK_TABLES]


def _put_hooks(before: list[dict[int, Any]]) -> None:
    for table, hooks in zip(HOOK_TABLES, before, strict=True):
        table.clear()
        table.update(hooks)


def _switch(owner: Any, name: str) -> ProcessSetting:
    return partial(getattr, owner, name), partial(setattr, owner, name)


SETTINGS: dict[str, ProcessSetting] = {
    "default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "default device": (torch.get_default_device, _default_device),
    "number of threads": (torch.get_num_threads, torch.set_num_threads),
    "inference mode": (torch.is_inference_mode_enabled, _put_inference_mode),
    "grad mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "autocast": (_autocast, _put_autocast),
    "anomaly mode": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "deterministic algorithms": (
        _deterministic,
        lambda before: torch.use_deterministic_algorithms(before[0], warn_only=before[1]),
    ),
    "float32 matmul precision": (_float32_precisions, _put_float32_precisions),
    "flushing of denormal numbers": (_flushes_denormals, torch.set_flush_denormal),
    "cudnn.benchmark": _switch(torch.backends.cudnn, "benchmark"),
    "cudnn.deterministic": _switch(torch.backends.cudnn, "deterministic"),
    "cudnn.enabled": _switch(torch.backends.cudnn, "enabled"),
    "mkldnn.enabled": _switch(torch.backends.mkldnn, "enabled"),
    "hooks of all modules and optimizers": (_hooks, _put_hooks),
    "filters of all warnings": (_blanket_filters, _put_filters),
    "working directory": (_folder, _put_folder),
    "umask": (_umask, os.umask),
    **{name: _variable(name) for name in STEERING_VARIABLES},
}
"""The settings of the whole process that must be as before when a plugin returns."""


def settings() -> dict[str, Any]:
    """Return the present value of every setting."""
    return {name: read() for name, (read, _) in SETTINGS.items()}


def restore(before: dict[str, Any]) -> None:
    """Restore every setting that differs from `before`, so that one plugin's fault does not become
    the next one's.
    """
    for name, (read, put) in SETTINGS.items():
        if read() != before[name]:
            put(before[name])


@contextmanager
def preserve_settings() -> Iterator[None]:
    """Restore all settings after the block, for plugins that change some when they are imported.

    Functions stay as they are: a library that replaces some when it is imported relies on them.
    """
    before = settings()
    try:
        yield
    finally:
        restore(before)


def generators() -> dict[str, Any]:
    """Return the states of the process-wide random generators."""
    return {
        "random": random.getstate(),
        "numpy.random": tuple(map(str, numpy.random.get_state())),
        "torch": torch.get_rng_state().numpy().tobytes(),
    }


def _put_generators(python: Any, legacy: Any, torchs: torch.Tensor) -> None:
    random.setstate(python)
    numpy.random.set_state(legacy)
    torch.set_rng_state(torchs)


class ProcessSnapshot:
    """The state of the process when this object was made.

    changed: the names of what differed when the state was restored.
    """

    def __init__(self) -> None:
        self.changed: list[str] = []
        self._settings = settings()
        self._environment = dict(os.environ)
        self._functions = FunctionsSnapshot()
        self._drawn = random.getstate(), numpy.random.get_state(), torch.get_rng_state()

    def put_back(self) -> None:
        """Restore the process. Functions come first, because the rest is restored by calling some
        of them.
        """
        self.changed += self._functions.put_back()
        now = settings()
        self.changed += [name for name, was in self._settings.items() if now[name] != was]
        restore(self._settings)
        self.changed += self._put_environment()
        _put_generators(*self._drawn)

    def _put_environment(self) -> list[str]:
        """Restore the environment variables, and return the names of those that existed before and
        were changed. Added ones are not named, because libraries add some when they are imported.
        """
        before, now = self._environment, dict(os.environ)
        if now == before:
            return []
        os.environ.update(before)
        for name in now.keys() - before.keys():
            del os.environ[name]
        return [name for name in before if now.get(name) != before[name]]


@contextmanager
def preserve_process(who: str) -> Iterator[ProcessSnapshot]:
    """Restore the process after the block, in which `who` may change it.

    It may also be restored inside the block. A warning names what was changed.
    """
    process = ProcessSnapshot()
    try:
        yield process
    finally:
        process.put_back()
        if process.changed:
            warnings.warn(describe_changes(who, process.changed), stacklevel=3)


def describe_changes(who: str, changed: Sequence[str]) -> str:
    """Return a sentence that names what `who` left changed."""
    return (
        f"{who} left the process otherwise than it was ({', '.join(changed[:MOST_CHANGES_TOLD])}"
        f"{', ...' if len(changed) > MOST_CHANGES_TOLD else ''}); it was put back, and its own "
        "numbers may come from it"
    )
