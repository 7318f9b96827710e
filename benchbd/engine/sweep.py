"""Predictions at every step of a pruning path, without running the whole network at every step.

The network is run as a graph, one batch at a time. From one step to the next, only the nodes behind
a newly pruned layer are computed again; steps that prune nothing new repeat the row before. Values
are held exactly as long as a later step reads them.
"""

from __future__ import annotations

import copy
from bisect import bisect
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from benchbd.data.images import ImageSet
from benchbd.engine.counting import count_samples
from benchbd.engine.graph import node_of, run_watched, trace
from benchbd.engine.hardware import Hardware, hardware
from benchbd.engine.inference import EVAL_BATCH, eval_mode, predict
from benchbd.engine.progress import track
from benchbd.engine.recipe import Precision
from benchbd.engine.training import device_of, to_float
from benchbd.engine.units import PruningPath, channels, prune


@dataclass(frozen=True, eq=False)
class ModelPath:
    """Models along an axis, such as the points of a curve between two networks, for a `Sweep` that
    prunes nothing.

    axis: the name of what grows. values: the place of each of the S steps on the axis. build:
    returns the model of a step, in eval mode.

    >>> path = ModelPath("share", (0.0, 1.0), build=lambda step: model)
    >>> len(path)
    2
    """

    axis: str
    values: tuple[float, ...]
    build: Callable[[int], nn.Module]

    def __len__(self) -> int:
        return len(self.values)

    def units_at(self, step: int) -> int | None:
        """Return None, because nothing is pruned along such a path."""
        return None

    def at(self, model: nn.Module, step: int) -> nn.Module:
        """Return the model of a step. `model`, from which the path starts, is not needed for it."""
        return self.build(step)


SweepPath = PruningPath | ModelPath

Work = list[tuple[fx.Node, list[fx.Node]]]
"""Nodes to run in order, each with the nodes whose values nobody reads after it."""


def sweep_predictions(
    model: nn.Module,
    path: SweepPath,
    images: Tensor,
    *,
    unpruned: Tensor | None = None,
    precision: Precision = "auto",
    what: str = "",
) -> Tensor:
    """Return the predicted classes (S, N) int64 of uint8 `images` (N, C, H, W) at every step of
    `path`.

    unpruned: the predicted classes (N,) of `model` as it is, if they are known; they are used for
    the steps that prune nothing.
    """
    if not len(images):
        return torch.zeros(len(path), 0, dtype=torch.int64)
    if isinstance(path, ModelPath):
        return torch.stack(
            [
                predict(path.build(step), images, precision=precision)
                for step in track(range(len(path)), what)
            ]
        )
    first = bisect(path.cuts, 0) if unpruned is not None else 0
    known = (
        unpruned.expand(first, -1)
        if unpruned is not None
        else torch.zeros(0, len(images), dtype=torch.int64)
    )
    if first == len(path):
        return known.clone()
    rest = replace(path, values=path.values[first:], cuts=path.cuts[first:])
    with eval_mode(model):
        machine = hardware(str(device_of(model)), precision)
        walk = _follow(model, rest, images[:1], machine)
        found = (
            _one_by_one(model, rest, images, precision, what)
            if walk is None
            else _by_graph(walk, images, machine, what)
        )
    return torch.cat([known, found])


def sweep_accuracies(
    model: nn.Module, path: SweepPath, labelled: ImageSet, what: str = ""
) -> tuple[float, ...]:
    """Return the accuracy at every step of `path`, S shares from 0 to 1, on the labelled images.

    From one step to the next, only what lies behind a pruned layer is computed again. what: a name
    under which progress is shown; empty for none.

    >>> worth = {"network.body.0.bn1": model.network.body[0].bn1.weight.detach().abs()}
    >>> path = path_by_number(worth, numbers=[0, 2, 4], where="scale")
    >>> len(sweep_accuracies(model, path, clean.validation))
    3
    """
    hits = sweep_predictions(model, path, labelled.images, what=what) == labelled.labels.cpu()
    return tuple(hits.double().mean(1).tolist())


def last_within(accuracies: Sequence[float], allowed: float) -> int:
    """Return the last step before the accuracy first falls below `allowed`, or step 0 when it is
    below from the start.

    >>> last_within([0.95, 0.93, 0.80, 0.94], allowed=0.90)
    1
    """
    fallen = next(
        (step for step, reached in enumerate(accuracies) if reached < allowed - 1e-9),
        len(accuracies),
    )
    return max(0, fallen - 1)


def _one_by_one(
    model: nn.Module, path: PruningPath, images: Tensor, precision: Precision, what: str
) -> Tensor:
    """Return the predictions by the plain way, for networks that cannot be traced: it runs the
    whole network at every step.
    """
    pruned = copy.deepcopy(model)
    rows: list[Tensor] = []
    for step in track(range(len(path)), what):
        added = path.added(step)
        prune(pruned, added, path.where)
        rows.append(predict(pruned, images, precision=precision) if added or not rows else rows[-1])
    return torch.stack(rows)


def _by_graph(walk: _Walk, images: Tensor, machine: Hardware, what: str) -> Tensor:
    columns = []
    for start in track(range(0, len(images), EVAL_BATCH), what):
        batch = to_float(
            images[start : start + EVAL_BATCH].to(machine.device, non_blocking=machine.non_blocking)
        )
        with torch.inference_mode(), machine.autocast(batch):
            columns.append(torch.stack(list(walk.predictions(batch))).cpu())
    return torch.cat(columns, dim=1)


def _follow(model: nn.Module, path: PruningPath, image: Tensor, machine: Hardware) -> _Walk | None:
    """Return the walk along `path`, or None where the network or a layer of the path cannot be
    traced.
    """
    graph = trace(model)
    if graph is None or any(node_of(graph, layer) is None for layer in path.layers):
        return None
    places = {layer: _prunable(graph, layer, path) for layer in path.layers}
    batch = to_float(image.to(machine.device))
    with torch.inference_mode(False), torch.no_grad(), machine.autocast(batch):
        logits, overwritten = run_watched(graph, batch.clone())
        same = torch.equal(logits, model(batch.clone()))
    return _Walk(graph, path, places, overwritten) if same and overwritten is not None else None


class _Walk(fx.Interpreter):
    """An interpreter that runs a batch through the graph for one step after the other.

    places: the modules to prune, by layer of the path. They belong to the graph and are not layers
    of the model.
    """

    def __init__(
        self,
        graph: fx.GraphModule,
        path: PruningPath,
        places: dict[str, str],
        overwritten: dict[fx.Node, set[fx.Node]],
    ) -> None:
        super().__init__(graph, garbage_collect_values=False)
        self.path, self.places, self.overwritten = path, places, overwritten
        self.unpruned = {
            place: copy.deepcopy(graph.get_submodule(place).state_dict())
            for place in places.values()
        }
        self.work = _work(
            graph, [{places[layer] for layer in path.added(step)} for step in range(len(path))]
        )

    def predictions(self, batch: Tensor) -> Iterator[Tensor]:
        """Yield the predicted classes (B,) of one batch, step after step."""
        for place, state in self.unpruned.items():
            self.module.get_submodule(place).load_state_dict(state)
        self.env, self.args_iter = {}, iter((batch,))
        row = torch.empty(0)
        for step, work in enumerate(self.work):
            added = {self.places[layer]: chosen for layer, chosen in self.path.added(step).items()}
            prune(self.module, added, self.path.where)
            if work:
                count_samples(batch)
                row = self._run(work).argmax(1)
            yield row

    def _run(self, work: Work) -> Tensor:
        """Run the nodes and return the value of the last one."""
        value = None
        for node, spent in work:
            self.env[node] = value = self.run_node(node)
            for source in spent:
                del self.env[source]
        assert isinstance(value, Tensor)
        return value

    def map_nodes_to_values(self, args: Any, n: fx.Node) -> Any:
        """Return the arguments of a node. A value that it overwrites is handed over as a copy,
        because a later step may read it.
        """
        overwritten = self.overwritten.get(n, set())
        return fx.node.map_arg(
            args,
            lambda source: self.env[source].clone() if source in overwritten else self.env[source],
        )


def _prunable(graph: fx.GraphModule, layer: str, path: PruningPath) -> str:
    """Return the name of the module to prune in place of `layer`: a copy of it or, behind a
    convolution, a gate.
    """
    module = graph.get_submodule(layer)
    if isinstance(module, nn.Conv2d) and path.where == "output":
        return _with_gate(graph, layer, channels(module, path.where))
    graph.set_submodule(layer, copy.deepcopy(module).requires_grad_(False))
    return layer


def _with_gate(graph: fx.GraphModule, layer: str, count: int) -> str:
    node, name = node_of(graph, layer), layer.replace(".", "_") + "_gate"
    assert node is not None
    graph.add_submodule(name, _Gate(count).to(device_of(graph)))
    with graph.graph.inserting_after(node):
        gate = graph.graph.call_module(name, (node,))
    node.replace_all_uses_with(gate, delete_user_cb=lambda user: user is not gate)
    return name


class _Gate(nn.Module):
    """A layer that passes or zeroes each channel of (N, C, H, W), so that the convolution before it
    need not run again.
    """

    bias = None

    def __init__(self, count: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(count), requires_grad=False)

    def forward(self, maps: Tensor) -> Tensor:
        return maps * self.weight.to(maps.dtype)[:, None, None]


def _work(graph: fx.GraphModule, fresh: list[set[str]]) -> list[Work]:
    """Return what to run at each step, given the modules that were pruned there. At the first step
    it is everything.
    """
    nodes = list(graph.graph.nodes)
    again = [set(nodes), *(_behind(nodes, modules) for modules in fresh[1:])]
    work: list[Work] = []
    held: set[fx.Node] = set()
    for step in reversed(again):
        last_reader = {
            source: node
            for node in nodes
            if node in step
            for source in (node, *node.all_input_nodes)
        }
        spent = defaultdict(list)
        for source, node in last_reader.items():
            if source not in held:
                spent[node].append(source)
        work.append([(node, spent[node]) for node in nodes if node in step])
        held = {source for source in (*held, *last_reader) if source not in step}
    return work[::-1]


def _behind(nodes: list[fx.Node], modules: set[str]) -> set[fx.Node]:
    """Return the nodes that call one of `modules`, and all nodes that depend on them. The set is
    empty if the output does not depend on them.
    """
    reached: set[fx.Node] = set()
    for node in nodes:
        called = node.op == "call_module" and node.target in modules
        if called or any(source in reached for source in node.all_input_nodes):
            reached.add(node)
    return reached if nodes[-1] in reached else set()
