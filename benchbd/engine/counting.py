"""What a piece of work costs: seconds, samples sent forward and backward, peak memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import nn

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
    cost, start = Cost(), time.perf_counter()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    token = _counter.set(cost)
    try:
        yield cost
    finally:
        _counter.reset(token)
        cost.seconds += time.perf_counter() - start
        cost.peak_bytes = memory_peak(device)


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


def count_passes(model: nn.Module) -> None:
    """Make `model` count the samples that pass through it, forward and, where gradients flow, backward."""
    model.register_forward_pre_hook(_count)


def _count(module: nn.Module, inputs: tuple[object, ...]) -> None:
    cost = _counter.get()
    if cost is not None and inputs and isinstance(inputs[0], torch.Tensor):
        samples = inputs[0].shape[0]
        cost.forward_samples += samples
        cost.backward_samples += samples if torch.is_grad_enabled() else 0
