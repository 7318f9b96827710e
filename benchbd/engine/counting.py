"""The cost of a piece of work: seconds, samples sent forward and backward, steps of optimizers, and
peak memory.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from benchbd.engine.hardware import memory_peak


@dataclass
class Cost:
    """The wall-clock seconds, the samples that passed through the network, the steps that torch's
    optimizers made, and the peak memory in bytes.
    """

    seconds: float = 0.0
    forward_samples: int = 0
    backward_samples: int = 0
    optimizer_steps: int = 0
    peak_bytes: int = 0


_counter: ContextVar[Cost | None] = ContextVar("cost", default=None)


@contextmanager
def measure_cost(device: torch.device) -> Iterator[Cost]:
    """Measure the cost of the work inside the `with` block. Nested measurements count only for the
    innermost one.
    """
    cost = Cost()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    start = _time_when_idle(device)
    token = _counter.set(cost)
    hook = register_optimizer_step_post_hook(partial(_count_step, cost))
    try:
        yield cost
    finally:
        hook.remove()
        _counter.reset(token)
        cost.seconds += _time_when_idle(device) - start
        cost.peak_bytes = memory_peak(device)


def _count_step(cost: Cost, *_: object) -> None:
    if _counter.get() is cost:
        cost.optimizer_steps += 1


def _time_when_idle(device: torch.device) -> float:
    """Return the time at which the device has finished all work that it was given so far."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


@contextmanager
def exclude_from_cost() -> Iterator[None]:
    """Leave the work inside the `with` block out of the cost that is being measured."""
    cost, start = _counter.get(), time.perf_counter()
    token = _counter.set(None)
    try:
        yield
    finally:
        _counter.reset(token)
        if cost is not None:
            cost.seconds -= time.perf_counter() - start


def count_samples(images: object) -> None:
    """Count a pass of images (B, ...) through the network, forward and, where gradients are
    recorded, backward.

    The proxies that stand for images while a network is traced are not counted.
    """
    cost = _counter.get()
    if cost is not None and isinstance(images, torch.Tensor):
        cost.forward_samples += images.shape[0]
        cost.backward_samples += images.shape[0] if torch.is_grad_enabled() else 0
