"""The state of a process that plugins share: settings, generators, environment, functions.

What one plugin leaves otherwise than it found it would change the numbers of the next one.
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

from benchbd.engine.functions import Functions

ProcessSetting = tuple[Callable[[], Any], Callable[[Any], object]]
"""How it is read, how it is put back."""

Filter = tuple[Any, ...]

MOST_TOLD = 5
"""Changes that are told of one plugin."""

AUTOCAST_DEVICES = ("cpu", "cuda")
_PRECISIONS: dict[str, Any] = {
    "all": torch.backends,
    "mkldnn": torch.backends.mkldnn,
    **{
        f"mkldnn.{part}": getattr(torch.backends.mkldnn, part) for part in ("matmul", "conv", "rnn")
    },
    "cuda.matmul": torch.backends.cuda.matmul,
}
"""Who may be told a precision of float32 of its own; one that was told none follows the one before
it in its name.
"""

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
"""What PyTorch calls at every layer and at every step of an optimizer; it has no public name."""

_inference_modes: list[torch.inference_mode] = []
"""Those that were entered to leave other ones; the mode ends with the object."""


def _default_device(device: torch.device) -> None:
    """None is not the same as the CPU: it leaves nothing behind that every later call would have to
    pass.
    """
    torch.set_default_device(None)
    if torch.get_default_device() != device:
        torch.set_default_device(device)


def _blanket_filters() -> list[Filter]:
    """Return what is done with warnings of all kinds. Filters of one kind are left out: libraries
    add them when they are imported.
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
    """Those that were added are taken away, those that were taken away come last."""
    with warnings.catch_warnings():  # at its end Python takes notice of the other filters
        pass
    now = _blanket_filters()
    warnings.filters[:] = [  # type: ignore[index]
        *(each for each in warnings.filters if each in before or each not in now),
        *(each for each in before if each not in now),
    ]
    with warnings.catch_warnings():
        pass


def _put_inference_mode(mode: bool) -> None:
    """A mode that was entered and never left cannot be left from here; another one is entered."""
    _inference_modes.append(torch.inference_mode(mode))
    _inference_modes[-1].__enter__()


def _float32_precisions() -> dict[str, str]:
    """Of products, in words of PyTorch's older and newer switches; they can contradict each other,
    and then PyTorch does not answer.
    """
    found = {name: owner.fp32_precision for name, owner in _PRECISIONS.items()}
    try:
        return {"matmul": torch.get_float32_matmul_precision()} | found
    except RuntimeError:
        return {"matmul": "contradictory"} | found


def _put_float32_precisions(before: dict[str, str]) -> None:
    """The older switch moves the newer ones, so these come last, each after the one it follows."""
    if before["matmul"] != "contradictory":
        torch.set_float32_matmul_precision(before["matmul"])
    for name, owner in _PRECISIONS.items():
        owner.fp32_precision = before[name]


def _nesting() -> int:
    """Return how many contexts of autocast are open; PyTorch tells it on the way in and out
    alone.
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
    """A context that was never left also keeps copies of weights, which are soon out of date."""
    nesting, cache, *of_devices = before
    while _nesting() > nesting:
        torch.autocast_decrement_nesting()
    torch.clear_autocast_cache()
    torch.set_autocast_cache_enabled(cache)
    for device, enabled, dtype in of_devices:
        torch.set_autocast_enabled(device, enabled)
        torch.set_autocast_dtype(device, dtype)


def _flushes_denormals() -> bool:
    """PyTorch sets it and cannot tell it."""
    return sys.float_info.min / 2 == 0.0


def _deterministic() -> tuple[bool, bool]:
    """Return whether only such algorithms are used, and whether others only bring a warning."""
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )


def _folder() -> Path | None:
    """None where it has been removed."""
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
    **{name: _variable(name) for name in VARIABLES},
}
"""What is set for the whole process and must be as before when a plugin returns."""


def settings() -> dict[str, Any]:
    """Return what is set now."""
    return {name: read() for name, (read, _) in SETTINGS.items()}


def restore(before: dict[str, Any]) -> None:
    """Put back what differs, so that one plugin's fault is not the next one's."""
    for name, (read, put) in SETTINGS.items():
        if read() != before[name]:
            put(before[name])


@contextmanager
def kept_settings() -> Iterator[None]:
    """Afterwards all is set as it was, say by plugins that set something when they are imported.
    Functions stay: a library that replaces some when it is imported counts on them.
    """
    before = settings()
    try:
        yield
    finally:
        restore(before)


def generators() -> dict[str, Any]:
    """Return the states of the process-wide generators."""
    return {
        "random": random.getstate(),
        "numpy.random": tuple(map(str, numpy.random.get_state())),
        "torch": torch.get_rng_state().numpy().tobytes(),
    }


def _put_generators(python: Any, legacy: Any, torchs: torch.Tensor) -> None:
    random.setstate(python)
    numpy.random.set_state(legacy)
    torch.set_rng_state(torchs)


class KeptProcess:
    """The state of the process when this was made. changed: the names of what was otherwise when it
    was put back.
    """

    def __init__(self) -> None:
        self.changed: list[str] = []
        self._settings = settings()
        self._environment = dict(os.environ)
        self._functions = Functions()
        self._drawn = random.getstate(), numpy.random.get_state(), torch.get_rng_state()

    def put_back(self) -> None:
        """Make the process what it was. Functions come first, since the others are put back by
        calling some.
        """
        self.changed += self._functions.put_back()
        now = settings()
        self.changed += [name for name, was in self._settings.items() if now[name] != was]
        restore(self._settings)
        self.changed += self._put_environment()
        _put_generators(*self._drawn)

    def _put_environment(self) -> list[str]:
        """Put variables back, and tell of those that were there before: libraries add others when
        they are imported.
        """
        before, now = self._environment, dict(os.environ)
        if now == before:
            return []
        os.environ.update(before)
        for name in now.keys() - before.keys():
            del os.environ[name]
        return [name for name in before if now.get(name) != before[name]]


@contextmanager
def kept_process(who: str) -> Iterator[KeptProcess]:
    """Inside, `who` may do to the process what it likes; afterwards the process is as it was.

    It can be put back in between, too. What was changed is told in a warning.
    """
    process = KeptProcess()
    try:
        yield process
    finally:
        process.put_back()
        if process.changed:
            warnings.warn(left_changed(who, process.changed), stacklevel=3)


def left_changed(who: str, changed: Sequence[str]) -> str:
    """Return a sentence about what `who` left otherwise than it was."""
    return (
        f"{who} left the process otherwise than it was ({', '.join(changed[:MOST_TOLD])}"
        f"{', ...' if len(changed) > MOST_TOLD else ''}); it was put back, and its own numbers may "
        "come from it"
    )
