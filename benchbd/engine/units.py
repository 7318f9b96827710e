"""Prunable units: the channels of a network's layers, found in whatever module is handed in.

A unit is one channel of one layer. What pruning it means depends on where the layer stands:

- a normalisation layer: its scale becomes zero, so the channel is the constant of its shift
(`scale`), or
  scale and shift become zero, so the channel is zero (`output`);
- a convolution: weights and bias of the channel become zero (`output`);
- a linear layer: the column that reads the channel becomes zero (`input`).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from benchbd.errors import ConfigError, NotApplicable, nearest

NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)
PrunedPart = Literal["scale", "output", "input"]
_Part = tuple[slice | list[int], ...]


@dataclass(frozen=True)
class Unit:
    """Channel `channel` of the module called `layer`."""

    layer: str
    channel: int


def norm_layers(model: nn.Module) -> dict[str, nn.Module]:
    """All normalisation layers with a scale per channel, by name. Raises `NotApplicable` when there
    is none.
    """
    found = {name: module for name, module in model.named_modules() if is_scaled_norm(module)}
    if not found:
        raise NotApplicable(
            "the network has no normalisation layer with a learned scale for every channel"
        )
    return found


def is_scaled_norm(layer: nn.Module) -> bool:
    """Whether `layer` is a normalisation layer with a learned scale for every channel."""
    return isinstance(layer, NORMS) and isinstance(layer.weight, Tensor) and layer.weight.ndim == 1


def conv_layers(model: nn.Module) -> dict[str, nn.Conv2d]:
    """All convolutions, by name, in the order in which the network registers them."""
    found = {name: m for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    if not found:
        raise NotApplicable("the network has no convolution")
    return found


def channels(layer: nn.Module, where: PrunedPart) -> int:
    """How many units a layer has."""
    return layer.get_parameter("weight").shape[1 if where == "input" else 0]


def named_layer(model: nn.Module, name: str) -> str:
    """The full name of the layer that a person calls `name`, which is that name without `network.`,
    or an end of it that no other layer shares.
    """
    layers: list[str] = [full for full, _ in model.named_modules() if full]
    exact = [full for full in layers if full in (name, f"network.{name}")]
    ends = exact[:1] or [full for full in layers if full.endswith("." + name)]
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise ConfigError(f"{name!r} could be any of {', '.join(ends)}; give more of the name")
    short = [
        n.removeprefix("network.") for n, m in model.named_modules() if isinstance(m, nn.Conv2d)
    ]
    remedy = "convolutions here: " + (", ".join(short) or "none")
    raise ConfigError(f"no layer named {name!r}{nearest(name, short, remedy)}")


@dataclass(frozen=True)
class PruningPath:
    """A growing set of pruned units: step s prunes the first `cuts[s]` of `units`, which stand in
    ascending order of worth.

    axis names what grows along the path ("threshold", "number", "fraction pruned"), `values` (S,)
    says how far each step is; `where` says what pruning means for these layers.
    """

    axis: str
    values: tuple[float, ...]
    cuts: tuple[int, ...]
    units: tuple[Unit, ...]
    where: PrunedPart

    def __post_init__(self) -> None:
        if len(self.values) != len(self.cuts) or list(self.cuts) != sorted(self.cuts):
            raise ValueError("a pruning path needs one ascending cut per value")

    def __len__(self) -> int:
        return len(self.cuts)

    def units_at(self, step: int) -> int | None:
        """How many units a step prunes."""
        return self.cuts[step]

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(unit.layer for unit in self.units))

    def pruned(self, step: int) -> dict[str, list[int]]:
        """Channels pruned at a step, by layer."""
        return _by_layer(self.units[: self.cuts[step]])

    def added(self, step: int) -> dict[str, list[int]]:
        """Channels pruned at a step and not at the one before, by layer."""
        return _by_layer(self.units[self.cuts[step - 1] if step else 0 : self.cuts[step]])

    def at(self, model: nn.Module, step: int) -> nn.Module:
        """A copy of `model` with the units of a step pruned, in eval mode."""
        repaired = copy.deepcopy(model)
        prune(repaired, self.pruned(step), self.where)
        return repaired.eval()


def path_by_threshold(
    worth: dict[str, Tensor], thresholds: Sequence[float], where: PrunedPart
) -> PruningPath:
    """Prune every unit whose worth is below the threshold, at 0 none; `worth` gives (C,) per layer,
    none of it negative.
    """
    units, scores = ranked(worth)
    cuts = tuple(int(torch.searchsorted(scores, t - 1e-12)) for t in thresholds)
    return PruningPath("threshold", tuple(thresholds), cuts, units, where)


def path_by_number(
    worth: dict[str, Tensor], numbers: Sequence[int], where: PrunedPart, axis: str = "number"
) -> PruningPath:
    """Prune a fixed number of units at each step, least worth first."""
    units, _ = ranked(worth)
    cuts = tuple(min(n, len(units)) for n in numbers)
    values = (
        tuple(c / len(units) for c in cuts)
        if axis == "fraction pruned"
        else tuple(float(c) for c in cuts)
    )
    return PruningPath(axis, values, cuts, units, where)


def ranked(worth: dict[str, Tensor]) -> tuple[tuple[Unit, ...], Tensor]:
    """All units in ascending order of worth, and their worth (U,) float64; equal ones stay in
    network order.
    """
    units = [
        Unit(layer, channel) for layer, values in worth.items() for channel in range(len(values))
    ]
    scores = torch.cat([values.detach().cpu().double() for values in worth.values()])
    order = torch.argsort(scores, stable=True)
    return tuple(units[i] for i in order.tolist()), scores[order]


def _by_layer(units: Iterable[Unit]) -> dict[str, list[int]]:
    chosen: dict[str, list[int]] = {}
    for unit in units:
        chosen.setdefault(unit.layer, []).append(unit.channel)
    return chosen


@torch.no_grad()
def prune(model: nn.Module, pruned: dict[str, list[int]], where: PrunedPart) -> None:
    """Prune the given channels of `model` in place."""
    for parameter, part in _entries(model, pruned, where):
        parameter[part] = 0


@contextmanager
def staying_pruned(
    model: nn.Module, pruned: dict[str, list[int]], where: PrunedPart
) -> Iterator[None]:
    """Inside, training by SGD leaves pruned channels at zero: no gradient reaches them."""
    with ExitStack() as hooks:
        for parameter, part in _entries(model, pruned, where):
            if parameter.requires_grad:
                gone = torch.zeros_like(parameter, dtype=torch.bool)
                gone[part] = True
                hooks.callback(
                    parameter.register_hook(
                        partial(torch.Tensor.masked_fill, mask=gone, value=0)
                    ).remove
                )
        yield


def _entries(
    model: nn.Module, pruned: dict[str, list[int]], where: PrunedPart
) -> Iterator[tuple[Tensor, _Part]]:
    """The parameters that pruning zeroes, each with the part of it that becomes zero."""
    for name, chosen in pruned.items():
        layer = model.get_submodule(name)
        yield (
            layer.get_parameter("weight"),
            (slice(None), chosen) if where == "input" else (chosen,),
        )
        if where == "output" and isinstance(layer.bias, Tensor):
            yield layer.bias, (chosen,)
