"""Attention maps, and the stages of a network whose maps they are (Zagoruyko and Komodakis, ICLR
2017, 1612.03928).

A stage ends where the spatial size changes: its map is the last one that leaves a module before
that. A module that goes from one size to the next, such as the first block of a stage, counts as a
whole; one that passes through several sizes is looked into. Maps of a single place, such as those
inside of squeeze-and-excitation, are no stage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from benchbd.api import eval_mode, to_float

Size = tuple[int, int]
EPSILON = 1e-6


def attention(maps: Tensor, p: float) -> Tensor:
    """Where a layer looks: sum over channels of |F|^p, divided by its L2 norm over places; (N,
    places).

    maps: (N, C, H, W), or tokens (N, T, C).
    """
    strength: Tensor = maps.float().abs().pow(p).sum(1 if maps.ndim == 4 else -1).flatten(1)
    length: Tensor = strength.norm(dim=1, keepdim=True)
    return strength / (length + EPSILON)


def stages(model: nn.Module, images: Tensor) -> dict[str, Size]:
    """The module at the end of every stage and the size of its map, in the order in which uint8
    `images` pass them.
    """
    trail = _Trail(model)
    with eval_mode(model), torch.no_grad():
        trail.run(to_float(images).to(next(model.parameters()).device))
    found: list[tuple[str, Size]] = []
    for name, size in _maps(trail.roots):
        if trail.calls[name] > 1 or size == (1, 1) or (found and not _within(size, found[-1][1])):
            continue
        if found and found[-1][1] == size:
            found.pop()
        found.append((name, size))
    return dict(found)


def _within(size: Size, before: Size) -> bool:
    """Whether a map may follow one of the size before; keys and queries of attention, heads first,
    would be larger.
    """
    return size[0] <= before[0] and size[1] <= before[1]


@dataclass
class _Call:
    """One pass through a module: the size of the map that goes in and comes out, if it is one, and
    the passes inside.
    """

    name: str
    sequence: bool
    inside: Size | None
    outside: Size | None = None
    children: list[_Call] = field(default_factory=list)

    def sizes(self) -> set[Size]:
        own = {self.outside} if self.outside not in (None, (1, 1)) else set()
        return own.union(*(child.sizes() for child in self.children))

    @property
    def passes_stages(self) -> bool:
        """Whether more than one stage may lie inside."""
        if not self.children:
            return False
        changes = self.inside != self.outside
        return (
            self.outside is None
            or (self.sequence and changes)
            or not self.sizes() <= {self.inside, self.outside}
        )


class _Trail:
    """The passes through the modules of a network, nested as they happen; a module is called by its
    first name.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.calls: Counter[str] = Counter()
        self.roots: list[_Call] = []
        self.open: list[_Call] = []

    def run(self, images: Tensor) -> None:
        with ExitStack() as hooks:
            for name, module in self.model.named_modules():
                hooks.callback(module.register_forward_pre_hook(self._entering(name)).remove)
                hooks.callback(module.register_forward_hook(self._leaving).remove)
            self.model(images)

    def _entering(self, name: str) -> Any:
        def enter(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            call = _Call(
                name, isinstance(module, nn.Sequential), _size(inputs[0]) if inputs else None
            )
            (self.open[-1].children if self.open else self.roots).append(call)
            self.open.append(call)
            self.calls[name] += 1

        return enter

    def _leaving(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self.open.pop().outside = _size(output)


def _size(value: Any) -> Size | None:
    return (
        (value.shape[2], value.shape[3]) if isinstance(value, Tensor) and value.ndim == 4 else None
    )


def _maps(calls: list[_Call]) -> Iterator[tuple[str, Size]]:
    """The maps between blocks, in order."""
    for call in calls:
        if call.passes_stages:
            yield from _maps(call.children)
        elif call.outside is not None:
            yield call.name, call.outside
