"""What the machine offers: device, number format, threads and memory. It is decided here once, and
results record it.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import cast, get_args

import torch
from torch import Tensor

from benchbd.engine.processor import bf16_instructions
from benchbd.engine.recipe import Precision
from benchbd.engine.strided import RoomyConvolutions
from benchbd.errors import ConfigError

PRECISION_VARIABLE = "BENCHBD_PRECISION"
"""The environment variable that sets what `auto` means in this process and in those that it
starts.
"""

_default_precision: ContextVar[Precision] = ContextVar("precision", default="auto")
_M_MMAP_MAX, _M_TRIM_THRESHOLD, _M_TOP_PAD = -4, -1, -2


@dataclass(frozen=True)
class Hardware:
    """The device on which numbers are computed, and the number format."""

    device: torch.device
    bf16: bool

    def autocast(self, images: Tensor) -> AbstractContextManager[object]:
        """Return the context in which a network is to process a batch of images (B, C, H, W)."""
        # torch 2.13's backward of a strided 1x1 convolution in bfloat16 on a CPU writes past its
        # memory for a single image
        unsafe = len(images) == 1 and self.device.type == "cpu" and torch.is_grad_enabled()
        if not self.bf16 or unsafe:
            return nullcontext()
        if self.device.type == "cpu":
            return _bf16_on_cpu()
        return torch.autocast(self.device.type, torch.bfloat16)

    @property
    def precision(self) -> Precision:
        """The number format: `"bf16"` or `"fp32"`."""
        return "bf16" if self.bf16 else "fp32"

    @property
    def deterministic(self) -> bool:
        """Whether the same seed gives the same bits. The kernels of a GPU may add in any order."""
        return self.device.type == "cpu"

    @property
    def non_blocking(self) -> bool:
        """Whether a copy to the device may run at the same time as the program."""
        return self.device.type == "cuda"


def hardware(device: str = "auto", precision: Precision = "auto") -> Hardware:
    """Return the device and the number format to compute with.

    device: `"auto"`, `"cpu"`, `"cuda"` or `"cuda:1"`. precision: `"auto"`, `"fp32"` or `"bf16"`;
    `"auto"` is the format in which the victim was trained. Outside of a run it is what the
    environment variable `BENCHBD_PRECISION` says, or else bf16 where the device has it. The
    returned object has the fields `device` and `bf16`, and a method `autocast(images)`, which gives
    the context in which a network is to process a batch. Raises `ConfigError` for a device that is
    not there.

    >>> machine = hardware("cpu", "fp32")
    >>> images = to_float(test.images[:8])
    >>> with machine.autocast(images):
    ...     print(machine.device, machine.precision, model(images).dtype)
    cpu fp32 torch.float32
    """
    where = _device(device)
    keep_blocks_in_heap()
    torch.backends.cudnn.allow_tf32 = False  # results that say float32 must not use TF32
    said = (precision, _default_precision.get(), precision_of_environment())
    precision = next((each for each in said if each != "auto"), "auto")
    return Hardware(where, precision == "bf16" or (precision == "auto" and has_bf16(where)))


@contextmanager
def _bf16_on_cpu() -> Iterator[None]:
    """Compute in bfloat16 inside, with the convolutions of every network made safe, whoever built
    it.
    """
    with RoomyConvolutions(), torch.autocast("cpu", torch.bfloat16):
        yield


@contextmanager
def default_precision(precision: Precision) -> Iterator[None]:
    """Let `auto` mean `precision` inside, so that a defense computes in the format in which its
    victim was trained.
    """
    token = _default_precision.set(precision)
    try:
        yield
    finally:
        _default_precision.reset(token)


def precision_of_environment() -> Precision:
    """Return the precision that `BENCHBD_PRECISION` sets; `auto` where it is unset.

    Raises `ConfigError` for any other value.
    """
    said = os.environ.get(PRECISION_VARIABLE) or "auto"
    if said not in get_args(Precision):
        known = ", ".join(get_args(Precision))
        raise ConfigError(
            f"the environment variable {PRECISION_VARIABLE} is {said!r}; expected one of {known}; "
            "set one of these or unset it"
        )
    return cast(Precision, said)


def has_bf16(device: torch.device) -> bool:
    """Return whether the device computes bfloat16 natively, and therefore faster than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and _cpu_has_bf16()


def memory_peak(device: torch.device) -> int:
    """Return the peak memory in bytes: on a GPU, of the device since the last reset; on a CPU, of
    the process.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def visible_gpus(device: str) -> tuple[str, ...]:
    """Return the GPUs over which a run on `device` may be spread, each as `CUDA_VISIBLE_DEVICES`
    names it. There are none where `device` means a CPU, or one GPU by its number.

    >>> visible_gpus("cpu"), visible_gpus("cuda:0")
    ((), ())
    """
    if device not in ("auto", "cuda"):
        return ()
    count = torch.cuda.device_count()
    named = [
        name.strip()
        for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        if name.strip()
    ]
    return tuple(named or map(str, range(count)))[:count]


@cache
def keep_blocks_in_heap() -> bool:
    """Ask glibc to keep large freed blocks instead of returning them to the kernel after every
    step, and return whether it does. It returns False where there is no glibc.

    Page faults for blocks that are taken back cost a fifth of a training step on a CPU.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return all(
        (
            mallopt(_M_MMAP_MAX, 0),
            mallopt(_M_TRIM_THRESHOLD, 2**31 - 1),
            mallopt(_M_TOP_PAD, 256 << 20),
        )
    )


@cache
def _cpu_has_bf16() -> bool:
    return bool(bf16_instructions())


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"cannot use the device {name!r}: {reason}; `benchbd doctor` shows what is there"
        ) from None
    return device


@contextmanager
def use_threads(count: int | None) -> Iterator[None]:
    """Compute with `count` cores inside, and with the earlier number after it; None changes
    nothing.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
