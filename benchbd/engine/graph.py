"""The network as a graph of operations, from torch.fx; None where a network cannot be traced."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import fx, nn

from benchbd.engine.inference import eval_mode
from benchbd.engine.units import NORMS, is_scaled_norm

_RELUS = {F.relu, F.relu_, torch.relu, torch.relu_, "relu", "relu_"}


class _Tracer(fx.Tracer):
    """Keeps normalisation layers whole, those of other libraries included."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, NORMS) or super().is_leaf_module(m, module_qualified_name)


def trace(model: nn.Module) -> fx.GraphModule | None:
    """The graph of `model` in eval mode, sharing its parameters; None when its code cannot be followed."""
    try:
        with eval_mode(model):
            graph = _Tracer().trace(model)
    except Exception:  # a network may do anything while it is traced; that it cannot be is an answer
        return None
    return fx.GraphModule(model, graph)


def node_of(graph: fx.GraphModule, layer: str) -> fx.Node | None:
    """The node that calls the module `layer`; None unless that one call is all that touches the layer."""
    touching = [
        node for node in graph.graph.nodes if node.op in ("call_module", "get_attr") and f"{node.target}.".startswith(f"{layer}.")
    ]
    return touching[0] if len(touching) == 1 and touching[0].target == layer else None


def only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def following_norm(graph: fx.GraphModule, layer: str) -> str | None:
    """The normalisation layer with a scale per channel that directly and alone reads `layer`."""
    node = node_of(graph, layer)
    user = only_user(node) if node is not None else None
    if user is not None and user.op == "call_module" and is_scaled_norm(graph.get_submodule(str(user.target))):
        return str(user.target)
    return None


def feeds_relu(graph: fx.GraphModule, layer: str) -> bool:
    """Whether a ReLU directly and alone reads `layer`."""
    node = node_of(graph, layer)
    user = only_user(node) if node is not None else None
    if user is None:
        return False
    if user.op == "call_module":
        return isinstance(graph.get_submodule(str(user.target)), nn.ReLU)
    return user.target in _RELUS


def deepest_convolution(graph: fx.GraphModule) -> str | None:
    """The convolution behind the most others, the last executed of equals: a shortcut beside the main path is none."""
    depth: dict[fx.Node, int] = {}
    deepest, name = 0, None
    for node in graph.graph.nodes:
        is_conv = node.op == "call_module" and isinstance(graph.get_submodule(str(node.target)), nn.Conv2d)
        depth[node] = max((depth[source] for source in node.all_input_nodes), default=0) + is_conv
        if is_conv and depth[node] >= deepest:
            deepest, name = depth[node], str(node.target)
    return name
