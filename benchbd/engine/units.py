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
"""What it means to prune a channel of a layer. `"scale"`: the scale of a normalisation layer
becomes zero. `"output"`: its shift does as well, or the weights and the bias of a convolution.
`"input"`: the column of a linear layer that reads the channel becomes zero.
"""
_Part = tuple[slice | list[int], ...]


@dataclass(frozen=True)
class Unit:
    """The channel `channel` of the module called `layer`."""

    layer: str
    channel: int


def norm_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Return all normalisation layers of `model` with a learned scale for every channel, by name.
    Raises `NotApplicable` when there is none.

    >>> list(norm_layers(model))[:2]
    ['network.body.0.bn1', 'network.body.0.bn2']
    """
    found = {name: module for name, module in model.named_modules() if is_scaled_norm(module)}
    if not found:
        raise NotApplicable(
            "the network has no normalisation layer with a learned scale for every channel"
        )
    return found


def is_scaled_norm(layer: nn.Module) -> bool:
    """Return whether `layer` is a normalisation layer with a learned scale for every channel.

    >>> is_scaled_norm(nn.BatchNorm2d(8)), is_scaled_norm(nn.BatchNorm2d(8, affine=False))
    (True, False)
    """
    return isinstance(layer, NORMS) and isinstance(layer.weight, Tensor) and layer.weight.ndim == 1


def conv_layers(model: nn.Module) -> dict[str, nn.Conv2d]:
    """Return all convolutions of `model` by name, in the order in which the network registers them.
    Raises `NotApplicable` when there is none.

    >>> list(conv_layers(model))[:2]
    ['network.body.0.conv1', 'network.body.0.conv2']
    """
    found = {name: m for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    if not found:
        raise NotApplicable("the network has no convolution")
    return found


def channels(layer: nn.Module, where: PrunedPart) -> int:
    """Return how many units a layer has."""
    return layer.get_parameter("weight").shape[1 if where == "input" else 0]


def named_layer(model: nn.Module, name: str) -> str:
    """Return the full name of the layer that a person calls `name`. They may leave out `network.`
    in front, or give an end of the name that no other layer shares.

    Raises `ConfigError` when `name` fits no layer or several.

    >>> named_layer(model, "body.0.conv1"), named_layer(model, "head")
    ('network.body.0.conv1', 'network.head')
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
    """Channels that are pruned one step after the other, for a `Sweep`. `path_by_threshold` and
    `path_by_number` make one.

    axis: the name of what grows, such as "threshold". values: the place of each of the S steps on
    the axis. cuts: step s prunes the first `cuts[s]` of `units`, so they ascend. units: the
    channels, in ascending order of worth. where: what pruning means, `"scale"` or `"output"` of the
    layer itself, or `"input"` of the linear layer that reads the channel. Raises `ValueError` when
    `cuts` does not fit.

    >>> worth = {"network.body.0.bn1": torch.tensor([0.3, 0.1, 0.9, 0.5, 0.7, 0.2, 0.8, 0.6])}
    >>> path = path_by_number(worth, numbers=[0, 2], where="scale")
    >>> path.pruned(1)
    {'network.body.0.bn1': [1, 5]}
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
        """Return how many channels a step prunes."""
        return self.cuts[step]

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of all layers in which a channel is pruned."""
        return tuple(dict.fromkeys(unit.layer for unit in self.units))

    def pruned(self, step: int) -> dict[str, list[int]]:
        """Return the channels that are pruned at a step, by layer."""
        return _by_layer(self.units[: self.cuts[step]])

    def added(self, step: int) -> dict[str, list[int]]:
        """Return the channels that are pruned at a step and not at the one before, by layer."""
        return _by_layer(self.units[self.cuts[step - 1] if step else 0 : self.cuts[step]])

    def at(self, model: nn.Module, step: int) -> nn.Module:
        """Return a copy of `model` with the channels of a step pruned, in eval mode."""
        repaired = copy.deepcopy(model)
        prune(repaired, self.pruned(step), self.where)
        return repaired.eval()


def path_by_threshold(
    worth: dict[str, Tensor], thresholds: Sequence[float], where: PrunedPart
) -> PruningPath:
    """Return a path along which every channel is pruned whose worth lies below the threshold of the
    step.

    worth: (C,) for each layer, by name, without negative values. thresholds: ascending; at 0
    nothing is pruned. where: as for `PruningPath`.

    >>> path = path_by_threshold({"bn": torch.tensor([0.3, 0.1, 0.9])}, [0.0, 0.2, 0.5], "scale")
    >>> path.cuts
    (0, 1, 2)
    """
    units, scores = ranked(worth)
    cuts = tuple(int(torch.searchsorted(scores, t - 1e-12)) for t in thresholds)
    return PruningPath("threshold", tuple(thresholds), cuts, units, where)


def path_by_number(
    worth: dict[str, Tensor], numbers: Sequence[int], where: PrunedPart, axis: str = "number"
) -> PruningPath:
    """Return a path along which a fixed number of channels is pruned at each step, those of least
    worth first.

    worth: (C,) for each layer, by name. numbers: ascending. where: as for `PruningPath`. axis:
    "number", or "fraction pruned" for values that are shares of all channels.

    >>> path = path_by_number({"bn": torch.tensor([0.3, 0.1])}, [0, 1], "scale", "fraction pruned")
    >>> path.values
    (0.0, 0.5)
    """
    units, _ = ranked(worth)
    cuts = tuple(min(n, len(units)) for n in numbers)
    values = (
        tuple(c / len(units) for c in cuts)
        if axis == "fraction pruned"
        else tuple(float(c) for c in cuts)
    )
    return PruningPath(axis, values, cuts, units, where)


def ranked(worth: dict[str, Tensor]) -> tuple[tuple[Unit, ...], Tensor]:
    """Return all units in ascending order of worth, and their worth (U,) float64. Units of equal
    worth stay in the order of the network.
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
    """Keep the pruned channels at zero while a model is trained by SGD inside the `with` block: no
    gradient reaches them.

    pruned: channels by the name of their layer, as `PruningPath.pruned` returns them. where: as for
    `PruningPath`.

    >>> path = path_by_number({"network.body.0.bn1": torch.arange(8.0)}, [0, 2], "scale")
    >>> model = path.at(model, 1)
    >>> with staying_pruned(model, path.pruned(1), "scale"):
    ...     model = fit(model, clean.train, Recipe(epochs=1), rng)
    >>> model.network.body[0].bn1.weight[:2].tolist()
    [0.0, 0.0]
    """
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
    """Yield the parameters that pruning zeroes, each with the part of it that becomes zero."""
    for name, chosen in pruned.items():
        layer = model.get_submodule(name)
        yield (
            layer.get_parameter("weight"),
            (slice(None), chosen) if where == "input" else (chosen,),
        )
        if where == "output" and isinstance(layer.bias, Tensor):
            yield layer.bias, (chosen,)
