"""The network as a graph of operations, from torch.fx; None where a network cannot be traced."""

from __future__ import annotations

from torch import fx, nn

from benchbd.engine.units import NORMS


class _Tracer(fx.Tracer):
    """Keeps normalisation layers whole, those of other libraries included."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, NORMS) or super().is_leaf_module(m, module_qualified_name)


def trace(model: nn.Module) -> fx.GraphModule | None:
    """The graph of `model` in eval mode, sharing its parameters; None when its code cannot be followed."""
    try:
        graph = _Tracer().trace(model)
    except Exception:  # a network may do anything while it is traced; that it cannot be is an answer
        return None
    return fx.GraphModule(model, graph)


def node_of(graph: fx.GraphModule, layer: str) -> fx.Node | None:
    """The one node that calls the module `layer`; None if it is called more than once or never."""
    calls = [n for n in graph.graph.nodes if n.op == "call_module" and n.target == layer]
    return calls[0] if len(calls) == 1 else None


def only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def following_norm(graph: fx.GraphModule, conv: str) -> str | None:
    """The normalisation layer that directly and alone reads the convolution `conv`."""
    node = node_of(graph, conv)
    user = only_user(node) if node is not None else None
    if user is not None and user.op == "call_module" and isinstance(graph.get_submodule(str(user.target)), NORMS):
        return str(user.target)
    return None
