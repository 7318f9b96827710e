"""The network as a graph of operations from torch.fx, for questions such as which layer reads
which.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from benchbd.engine.inference import eval_mode
from benchbd.engine.units import NORMS, is_scaled_norm

_RELUS = {F.relu, F.relu_, torch.relu, torch.relu_, "relu", "relu_"}


class _Tracer(fx.Tracer):
    """A tracer that keeps convolutions and normalisation layers whole, also those of other
    libraries.
    """

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, (*NORMS, nn.Conv2d)) or super().is_leaf_module(
            m, module_qualified_name
        )


def trace(model: nn.Module) -> fx.GraphModule | None:
    """Return the network as a graph of operations from torch.fx, which shares its parameters.
    Returns None when its code cannot be traced.

    >>> graph = trace(model)
    >>> graph is not None
    True
    """
    try:
        with eval_mode(model):
            graph = _Tracer().trace(model)
    except Exception:
        # a network may do anything while it is traced; None says that it cannot be traced
        return None
    return fx.GraphModule(model, graph)


def node_of(graph: fx.GraphModule, layer: str) -> fx.Node | None:
    """Return the node that calls the module `layer`. Returns None unless that one call is all that
    uses the layer.
    """
    touching = [
        node
        for node in graph.graph.nodes
        if node.op in ("call_module", "get_attr") and f"{node.target}.".startswith(f"{layer}.")
    ]
    return touching[0] if len(touching) == 1 and touching[0].target == layer else None


def only_reader(graph: fx.GraphModule, layer: str) -> fx.Node | None:
    """Return the only node that reads the output of `layer`, or None. Modules that pass a value on
    unchanged are skipped.
    """
    node = node_of(graph, layer)
    while node is not None:
        node = next(iter(node.users)) if len(node.users) == 1 else None
        if node is None or not isinstance(_called(graph, node), nn.Identity | nn.Dropout):
            return node
    return None


def _called(graph: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return graph.get_submodule(str(node.target)) if node.op == "call_module" else None


def following_norm(graph: fx.GraphModule, layer: str) -> str | None:
    """Return the name of the normalisation layer with a scale per channel that is the only reader
    of the output of `layer`. Returns None when there is no such layer.

    >>> graph = trace(model)
    >>> following_norm(graph, "network.body.0.conv1")
    'network.body.0.bn1'
    """
    reader = only_reader(graph, layer)
    norm = _called(graph, reader) if reader is not None else None
    if reader is None or norm is None or not is_scaled_norm(norm):
        return None
    return str(reader.target)


def feeds_relu(graph: fx.GraphModule, layer: str) -> bool:
    """Return whether a ReLU is the only reader of the output of `layer`.

    >>> graph = trace(model)
    >>> feeds_relu(graph, "network.body.0.bn1"), feeds_relu(graph, "network.body.0.conv1")
    (True, False)
    """
    reader = only_reader(graph, layer)
    if reader is None:
        return False
    called = _called(graph, reader)
    return reader.target in _RELUS if called is None else isinstance(called, nn.ReLU)


def deepest_convolution(graph: fx.GraphModule) -> str | None:
    """Return the name of the convolution that comes after the largest number of others, and among
    equals the one that runs last. Returns None when there is no convolution.

    >>> deepest_convolution(trace(model))
    'network.body.1.conv2'
    """
    path = main_path(graph)
    return path[-1] if path else None


def main_path(graph: fx.GraphModule) -> list[str]:
    """Return the names of the convolutions on the path through the network that has the most of
    them, in the order in which they run. A shortcut beside the path is not part of it.

    >>> main_path(trace(model))[:2]
    ['network.body.0.conv1', 'network.body.0.conv2']
    """
    ways: dict[fx.Node, list[str]] = {}
    longest: list[str] = []
    for node in graph.graph.nodes:
        way = max((ways[source] for source in node.all_input_nodes), key=len, default=[])
        is_conv = isinstance(_called(graph, node), nn.Conv2d)
        ways[node] = [*way, str(node.target)] if is_conv else way
        if is_conv and len(ways[node]) >= len(longest):
            longest = ways[node]
    return longest


def run_watched(
    graph: fx.GraphModule, batch: Tensor
) -> tuple[Tensor, dict[fx.Node, set[fx.Node]] | None]:
    """Return the output of the graph for a batch, and for each node the values it reads that it
    also overwrites.

    The latter is None if a value is read again after it was overwritten. Not for inference mode, in
    which tensors do not count their versions.
    """
    watch = _Watch(graph)
    output: Tensor = watch.run(batch)
    return output, None if watch.read_again else watch.overwritten


class _Watch(fx.Interpreter):
    """An interpreter that finds out from the version counters of tensors which node overwrites
    which value.
    """

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.versions: dict[fx.Node, int] = {}
        self.overwritten: dict[fx.Node, set[fx.Node]] = {}
        self.read_again = False

    def run_node(self, n: fx.Node) -> Any:
        self.read_again |= bool(self._newer(n))
        value = super().run_node(n)
        if newer := self._newer(n):
            self.overwritten[n] = newer
        self.versions[n] = _version(value)
        return value

    def _newer(self, n: fx.Node) -> set[fx.Node]:
        """Return the sources of `n` that were written to after they were computed."""
        return {
            source
            for source in n.all_input_nodes
            if _version(self.env[source]) != self.versions[source]
        }


def _version(value: object) -> int:
    return value._version if isinstance(value, Tensor) else 0
