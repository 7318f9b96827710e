"""What a piece of work costs: seconds, samples sent forward and backward, peak memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch

from benchbd.engine.hardware import memory_peak


@dataclass
class Cost:
    """seconds on the wall, samples through the network, peak bytes of memory."""

    seconds: float = 0.0
    forward_samples: int = 0
    backward_samples: int = 0
    peak_bytes: int = 0


_counter: ContextVar[Cost | None] = ContextVar("cost", default=None)


@contextmanager
def measured(device: torch.device) -> Iterator[Cost]:
    """Count what happens inside. Nested measurements count for the innermost alone."""
    cost = Cost()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    start = _settled(device)
    token = _counter.set(cost)
    try:
        yield cost
    finally:
        _counter.reset(token)
        cost.seconds += _settled(device) - start
        cost.peak_bytes = memory_peak(device)


def _settled(device: torch.device) -> float:
    """Return the time at which the device has done all that it was given so far."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


@contextmanager
def uncounted() -> Iterator[None]:
    """Leave out what happens inside, because it is no cost of the work that is measured."""
    cost, start = _counter.get(), time.perf_counter()
    token = _counter.set(None)
    try:
        yield
    finally:
        _counter.reset(token)
        if cost is not None:
            cost.seconds -= time.perf_counter() - start


def count_samples(images: object) -> None:
    """Note a pass of images (B, ...) through the network, forward and, where gradients flow,
    backward.

    What stands for images while a network is traced counts for nothing.
    """
    cost = _counter.get()
    if cost is not None and isinstance(images, torch.Tensor):
        cost.forward_samples += images.shape[0]
        cost.backward_samples += images.shape[0] if torch.is_grad_enabled() else 0
