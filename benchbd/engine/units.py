"""Prunable units: the channels of a network's layers, found in whatever module is handed in.

A unit is one channel of one layer. What pruning it means depends on where the layer stands:

- a normalisation layer: its scale becomes zero, so the channel is the constant of its shift (`scale`), or
  scale and shift become zero, so the channel is zero (`output`);
- a convolution: weights and bias of the channel become zero (`output`);
- a linear layer: the column that reads the channel becomes zero (`input`).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from benchbd.errors import ConfigError, NotApplicable, nearest

NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)
Where = Literal["scale", "output", "input"]


@dataclass(frozen=True)
class Unit:
    """Channel `channel` of the module called `layer`."""

    layer: str
    channel: int


def norm_layers(model: nn.Module) -> dict[str, nn.Module]:
    """All normalisation layers with a learned scale, by name. Raises `NotApplicable` when there is none."""
    found = {name: m for name, m in model.named_modules() if isinstance(m, NORMS) and m.weight is not None}
    if not found:
        raise NotApplicable("the network has no normalisation layer with a learned scale")
    return found


def conv_layers(model: nn.Module) -> dict[str, nn.Conv2d]:
    """All convolutions, by name, in the order in which the network registers them."""
    found = {name: m for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    if not found:
        raise NotApplicable("the network has no convolution")
    return found


def channels(layer: nn.Module, where: Where) -> int:
    """How many units a layer has."""
    if where == "input":
        return int(layer.in_features)  # type: ignore[arg-type]
    return int(layer.weight.shape[0])  # type: ignore[union-attr, arg-type]


def named_layer(model: nn.Module, name: str) -> str:
    """The full name of the layer that a person calls `name`: the name itself or the end of it, if only one ends so."""
    modules = dict(model.named_modules())
    ends = [full for full in modules if full == name or full.endswith("." + name)]
    if len(ends) == 1:
        return ends[0]
    convolutions = list(conv_layers(model))
    short = [c.rpartition("network.")[2] for c in convolutions]
    if not ends:
        raise ConfigError(f"no layer named {name!r}{nearest(name, short)} convolutions here: {', '.join(short)}")
    raise ConfigError(f"{name!r} could be any of {', '.join(ends)}; give more of the name")


@dataclass(frozen=True)
class PruningPath:
    """A growing set of pruned units: step s prunes the first `cuts[s]` of `units`, which stand in ascending order of worth.

    axis names what grows along the path ("threshold", "number", "fraction pruned"), `values` (S,) says how far
    each step is; `where` says what pruning means for these layers.
    """

    axis: str
    values: tuple[float, ...]
    cuts: tuple[int, ...]
    units: tuple[Unit, ...]
    where: Where

    def __post_init__(self) -> None:
        if len(self.values) != len(self.cuts) or list(self.cuts) != sorted(self.cuts):
            raise ValueError("a pruning path needs one ascending cut per value")

    def __len__(self) -> int:
        return len(self.cuts)

    def pruned(self, step: int) -> dict[str, list[int]]:
        """Channels pruned at a step, by layer."""
        chosen: dict[str, list[int]] = {}
        for unit in self.units[: self.cuts[step]]:
            chosen.setdefault(unit.layer, []).append(unit.channel)
        return chosen

    def at(self, model: nn.Module, step: int) -> nn.Module:
        """A copy of `model` with the units of a step pruned, in eval mode."""
        repaired = copy.deepcopy(model)
        prune(repaired, self.pruned(step), self.where)
        return repaired.eval()


def path_by_threshold(worth: dict[str, Tensor], thresholds: Sequence[float], where: Where) -> PruningPath:
    """Prune every unit whose worth is at most the threshold; `worth` gives (C,) per layer."""
    units, scores = ranked(worth)
    cuts = tuple(int(torch.searchsorted(scores, t + 1e-12, right=True)) for t in thresholds)
    return PruningPath("threshold", tuple(thresholds), cuts, units, where)


def path_by_number(worth: dict[str, Tensor], numbers: Sequence[int], where: Where, axis: str = "number") -> PruningPath:
    """Prune a fixed number of units at each step, least worth first."""
    units, _ = ranked(worth)
    cuts = tuple(min(n, len(units)) for n in numbers)
    values = tuple(c / len(units) for c in cuts) if axis == "fraction pruned" else tuple(float(c) for c in cuts)
    return PruningPath(axis, values, cuts, units, where)


def ranked(worth: dict[str, Tensor]) -> tuple[tuple[Unit, ...], Tensor]:
    """All units in ascending order of worth, and their worth (U,) float64; equal ones stay in network order."""
    units = [Unit(layer, channel) for layer, values in worth.items() for channel in range(len(values))]
    scores = torch.cat([values.detach().cpu().double() for values in worth.values()])
    order = torch.argsort(scores, stable=True)
    return tuple(units[i] for i in order.tolist()), scores[order]


@torch.no_grad()
def prune(model: nn.Module, pruned: dict[str, list[int]], where: Where) -> None:
    """Prune the given channels of `model` in place."""
    for name, chosen in pruned.items():
        layer = model.get_submodule(name)
        weight: Tensor = layer.weight  # type: ignore[assignment]
        if where == "input":
            weight[:, chosen] = 0
            continue
        weight[chosen] = 0
        if where == "output" and layer.bias is not None:
            layer.bias[chosen] = 0  # type: ignore[operator, index]
