"""Predictions of every step of a pruning path, without running the whole network for every step.

The network is followed as a graph, a batch at a time. From one step to the next only what lies behind a layer
in which a channel was pruned is computed again; steps that prune nothing new repeat the row before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from benchbd.engine.graph import node_of, trace
from benchbd.engine.hardware import Precision, hardware
from benchbd.engine.inference import EVAL_BATCH, eval_mode, predict
from benchbd.engine.progress import track
from benchbd.engine.training import device_of, to_float
from benchbd.engine.units import PruningPath


def sweep_predictions(
    model: nn.Module, path: PruningPath, images: Tensor, *, precision: Precision = "auto", what: str = ""
) -> Tensor:
    """Predicted classes (S, N) int64 of uint8 `images` (N, C, H, W) at every step of `path`."""
    with eval_mode(model):
        graph = trace(model)
        if graph is None or any(node_of(graph, layer) is None for layer in {u.layer for u in path.units}):
            return _one_by_one(model, path, images, precision, what)
        return _by_graph(graph, path, images, precision, what)


def _one_by_one(model: nn.Module, path: PruningPath, images: Tensor, precision: Precision, what: str) -> Tensor:
    """The plain way, for networks that cannot be followed: a pruned copy of the network per step."""
    rows: list[Tensor] = []
    for step in track(range(len(path)), what):
        unchanged = step > 0 and path.cuts[step] == path.cuts[step - 1]
        rows.append(rows[-1] if unchanged else predict(path.at(model, step), images, precision=precision))
    return torch.stack(rows)


@torch.inference_mode()
def _by_graph(graph: fx.GraphModule, path: PruningPath, images: Tensor, precision: Precision, what: str) -> Tensor:
    device = device_of(graph)
    machine = hardware(str(device), precision)
    walk = _Walk.plan(graph, path, device)
    columns = []
    for start in track(range(0, len(images), EVAL_BATCH), what):
        batch = to_float(images[start : start + EVAL_BATCH].to(device, non_blocking=machine.non_blocking))
        with machine.autocast():
            columns.append(torch.stack(list(walk.predictions(batch))).cpu())
    return torch.cat(columns, dim=1)


@dataclass(frozen=True)
class _Mask:
    """What pruning does to the value at a layer: where `keep` (C,) is false, `fill` (C,) stands instead."""

    keep: Tensor
    fill: Tensor

    def __call__(self, value: Tensor, last: bool) -> Tensor:
        shape = (-1,) if last or value.ndim == 2 else (-1,) + (1,) * (value.ndim - 2)
        return torch.where(self.keep.view(shape), value, self.fill.view(shape).to(value.dtype))


@dataclass(frozen=True)
class _Walk:
    """The order of work for one batch: per step the layers that change, and the nodes behind them."""

    graph: fx.GraphModule
    nodes: tuple[fx.Node, ...]
    path: PruningPath
    masks: tuple[dict[fx.Node, _Mask], ...]
    changed: tuple[frozenset[fx.Node], ...]
    kept: frozenset[fx.Node]

    @classmethod
    def plan(cls, graph: fx.GraphModule, path: PruningPath, device: torch.device) -> _Walk:
        nodes = tuple(graph.graph.nodes)
        masks = tuple(_masks(graph, path, step, device) for step in range(len(path)))
        changed = [frozenset(nodes)]
        for step in range(1, len(path)):
            fresh = {u.layer for u in path.units[path.cuts[step - 1] : path.cuts[step]]}
            changed.append(_behind(nodes, fresh))
        return cls(graph, nodes, path, masks, tuple(changed), _kept(nodes, changed[1:]))

    def predictions(self, batch: Tensor) -> Iterator[Tensor]:
        """The predicted classes (B,) of one batch, step after step."""
        values: dict[fx.Node, Any] = {}
        raw: dict[fx.Node, Tensor] = {}
        row = torch.empty(0)
        for masks, changed in zip(self.masks, self.changed, strict=True):
            if changed:
                row = self._logits(batch, masks, changed, values, raw).argmax(1)
            yield row

    def _logits(
        self,
        batch: Tensor,
        masks: dict[fx.Node, _Mask],
        changed: frozenset[fx.Node],
        values: dict[fx.Node, Any],
        raw: dict[fx.Node, Tensor],
    ) -> Tensor:
        remaining = {n: sum(u in changed for u in n.users) for n in self.nodes if n not in self.kept}
        for node in self.nodes:
            if node not in changed:
                continue
            if node.op == "output":
                return values[node.all_input_nodes[0]]  # type: ignore[no-any-return]
            values[node] = self._value(node, batch, masks, changed, values, raw)
            for source in node.all_input_nodes:
                if source in remaining:
                    remaining[source] -= 1
                    if remaining[source] <= 0:
                        values.pop(source, None)
        raise AssertionError("a traced network has an output")

    def _value(
        self,
        node: fx.Node,
        batch: Tensor,
        masks: dict[fx.Node, _Mask],
        changed: frozenset[fx.Node],
        values: dict[fx.Node, Any],
        raw: dict[fx.Node, Tensor],
    ) -> Any:
        mask = masks.get(node)
        if mask is None or self.path.where == "input":
            return _run(self.graph, node, batch, values, mask)
        if node not in raw or any(source in changed for source in node.all_input_nodes):
            raw[node] = _run(self.graph, node, batch, values, None)
        last = isinstance(self.graph.get_submodule(str(node.target)), nn.LayerNorm)
        return mask(raw[node], last)


def _run(graph: fx.GraphModule, node: fx.Node, batch: Tensor, values: dict[fx.Node, Any], mask: _Mask | None) -> Any:
    """The value of one node; a mask, if given, is laid over its first argument."""
    if node.op == "placeholder":
        return batch
    if node.op == "get_attr":
        return _attribute(graph, str(node.target))
    arguments = list(fx.node.map_arg(node.args, values.__getitem__))
    options = fx.node.map_arg(node.kwargs, values.__getitem__)
    if mask is not None:
        arguments[0] = mask(arguments[0], last=True)
    if _works_in_place(graph, node):
        arguments[0] = arguments[0].clone()  # what is kept for a later step must not change under it
    if node.op == "call_module":
        return graph.get_submodule(str(node.target))(*arguments, **options)
    if node.op == "call_method":
        return getattr(arguments[0], str(node.target))(*arguments[1:], **options)
    return node.target(*arguments, **options)  # type: ignore[operator]


def _works_in_place(graph: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        return bool(getattr(graph.get_submodule(str(node.target)), "inplace", False))
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    in_place_operators = {"iadd", "isub", "imul", "itruediv"}
    return bool(node.kwargs.get("inplace")) or name in in_place_operators or (name.endswith("_") and not name.endswith("__"))


def _attribute(graph: fx.GraphModule, target: str) -> Any:
    value: Any = graph
    for part in target.split("."):
        value = getattr(value, part)
    return value


def _masks(graph: fx.GraphModule, path: PruningPath, step: int, device: torch.device) -> dict[fx.Node, _Mask]:
    """A mask for every layer of the path, so that a layer not yet pruned is kept apart from what changes it later."""
    masks = {}
    pruned = path.pruned(step)
    for layer in dict.fromkeys(u.layer for u in path.units):
        node, module = node_of(graph, layer), graph.get_submodule(layer)
        assert node is not None
        count = module.in_features if path.where == "input" else module.weight.shape[0]  # type: ignore[union-attr]
        keep = torch.ones(int(count), dtype=torch.bool, device=device)  # type: ignore[arg-type]
        keep[pruned.get(layer, [])] = False
        shift = module.bias if path.where == "scale" else None
        fill = shift.detach() if isinstance(shift, Tensor) else torch.zeros(len(keep), device=device)
        masks[node] = _Mask(keep, fill)
    return masks


def _behind(nodes: tuple[fx.Node, ...], layers: set[str]) -> frozenset[fx.Node]:
    """The nodes that call one of `layers`, and every node that depends on one of those."""
    reached: set[fx.Node] = set()
    for node in nodes:
        called = node.op == "call_module" and node.target in layers
        if called or any(source in reached for source in node.all_input_nodes):
            reached.add(node)
    return frozenset(reached)


def _kept(nodes: tuple[fx.Node, ...], changed: list[frozenset[fx.Node]]) -> frozenset[fx.Node]:
    """Nodes whose value serves a later step: unchanged there while something that reads them is."""
    return frozenset(
        node for node in nodes if any(node not in step and any(user in step for user in node.users) for step in changed)
    )
