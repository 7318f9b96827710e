"""Fine-Pruning (Liu, Dolan-Gavitt and Garg, RAID 2018, 1805.12185).

Neurons that clean images leave dormant are where a backdoor hides: remove them, then fine-tune what
is left.

    1. a(k) = mean activation of channel k of the last convolution, over clean images and all places
    2. prune channels in ascending order of a(k), `step` at a time, and follow accuracy on the
       validation split
    3. for each tolerance keep the last network before accuracy first falls by more than it
    4. fine-tune the network of one tolerance, by default the largest; pruned channels stay at zero

The last convolution is the one behind the most others. Pruning a channel zeroes what it gives out:
scale and shift of the normalisation layer that alone reads the convolution, else weights and bias
of the convolution itself. Activations are those after that layer, and after the ReLU if it alone
reads them. `layer="features"` prunes the inputs of the classifier head instead, and so does a
transformer, whose only convolution cuts patches. The sweep and the networks kept for each tolerance
are those before fine-tuning.

Departs from the paper: steps 1 and 2 read separate parts of the clean images. In a network whose
operations cannot be traced the last convolution is the one that runs last, its own channels are
pruned, and activations are its outputs clamped at zero. Some benchmark code stops by accuracy on
the test set, and fine-tunes the network of the step that broke the tolerance; here the step before
it is tuned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import field_validator
from torch import Tensor, nn
from torch.fx import GraphModule

from benchbd.api import (
    CleanSet,
    ConfigError,
    FineTuning,
    NotApplicable,
    PruningPath,
    Recipe,
    Repair,
    Repaired,
    Sweep,
    channel_means,
    conv_layers,
    deepest_convolution,
    features,
    feeds_relu,
    fit,
    following_norm,
    is_scaled_norm,
    last_executed,
    last_within,
    named_layer,
    param,
    path_by_number,
    staying_pruned,
    sweep_accuracies,
    trace,
)


class FinePrune(FineTuning, Repair):
    """Pruning, then fine-tuning unless `epochs` is 0."""

    api = 1
    results_version = 2

    layer: str | None = param(
        None,
        'layer to prune, such as conv_3; "features": the inputs of the head; unset: the last '
        "convolution",
    )
    step: int = param(1, "channels pruned at a time", ge=1)
    tolerances: tuple[float, ...] = param(
        (0.02, 0.04, 0.10),
        "validation accuracy that may be lost, absolute; a network is kept for each",
        min_length=1,
    )
    tolerance: float | None = param(
        None, "the tolerance whose network is reported; unset: the largest", ge=0, le=1
    )
    epochs: int = param(10, "passes over the clean images after pruning; 0: pruning only", ge=0)

    @field_validator("tolerances")
    @classmethod
    def _shares(cls, tolerances: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 <= tolerance <= 1 for tolerance in tolerances):
            raise ValueError(f"expected shares from 0 to 1, got {list(tolerances)}")
        return tolerances

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Repaired:
        target = _target(model, self.layer, clean.train.images[:1])
        activations = _activations(model, target, clean.train.images)
        path = self._path(target, activations)
        accuracies = sweep_accuracies(model, path, clean.validation, what="fine-pruning: sweep")
        reported = max(self.tolerances) if self.tolerance is None else self.tolerance
        kept = last_steps(accuracies, {*self.tolerances, reported})
        chosen = kept[_percent(reported)]
        repaired = path.at(model, chosen)
        with staying_pruned(repaired, path.pruned(chosen), path.where):
            fit(repaired, clean.all(), Recipe.of(self), rng, what="fine-pruning: tuning")
        return Repaired(
            repaired,
            sweep=Sweep(path, accuracies, chosen),
            kept=kept,
            notes={
                "layer": target.layer,
                "pruned": path.cuts[chosen],
                "of": len(path.units),
                "tolerance": reported,
            },
            tensors={f"activation.{target.layer}": activations},
        )

    def _path(self, target: _Target, activations: Tensor) -> PruningPath:
        numbers = [*range(0, len(activations), self.step), len(activations)]
        return path_by_number(
            {target.layer: activations}, numbers, target.where, axis="fraction pruned"
        )


def last_steps(accuracies: tuple[float, ...], tolerances: set[float]) -> dict[str, int]:
    """By tolerance, written as "2%": the last step before accuracy first falls by more than it from
    that of step 0.
    """
    return {
        _percent(tolerance): last_within(accuracies, accuracies[0] - tolerance)
        for tolerance in sorted(tolerances)
    }


def _percent(share: float) -> str:
    return f"{100 * share:g}%"


@dataclass(frozen=True)
class _Target:
    """The layer whose channels are pruned, and where; rectified: a ReLU follows, so activations are
    clamped at zero.
    """

    layer: str
    where: Literal["output", "input"]
    rectified: bool


def _target(model: nn.Module, wanted: str | None, image: Tensor) -> _Target:
    """What to prune: `wanted` as a person names it, unset for the last convolution."""
    if wanted == "features" or (wanted is None and _only_cuts_patches(model)):
        return _Target(
            next(name for name, module in model.named_modules() if module is model.head),
            "input",
            rectified=False,
        )
    graph = trace(model)
    layer = (
        _with_channels(model, named_layer(model, wanted))
        if wanted
        else _last_convolution(model, graph, image)
    )
    if graph is None:
        return _Target(layer, "output", rectified=True)
    layer = following_norm(graph, layer) or layer
    return _Target(layer, "output", feeds_relu(graph, layer))


def _only_cuts_patches(model: nn.Module) -> bool:
    """Whether the network's one convolution reads every pixel once, as that of a
    transformer does.
    """
    layers = list(conv_layers(model).values())
    return len(layers) == 1 and layers[0].kernel_size == layers[0].stride != (1, 1)


def _with_channels(model: nn.Module, layer: str) -> str:
    """`layer`, if it gives out channels that can be zeroed by its weights."""
    module = model.get_submodule(layer)
    if module is not model.head and (
        isinstance(module, nn.Conv2d | nn.Linear) or is_scaled_norm(module)
    ):
        return layer
    raise ConfigError(
        "fine_prune: expected layer to be a convolution, a normalisation layer with a scale or a "
        "hidden linear layer, got "
        f'{layer!r}, a {type(module).__name__}; name one of those, or "features" for the inputs '
        "of the head"
    )


def _last_convolution(model: nn.Module, graph: GraphModule | None, image: Tensor) -> str:
    convolutions = conv_layers(model)
    deepest = deepest_convolution(graph) if graph is not None else None
    last = deepest or last_executed(model, convolutions, image)
    if last is None:
        raise NotApplicable("no convolution of the network takes part in a prediction")
    return last


def _activations(model: nn.Module, target: _Target, images: Tensor) -> Tensor:
    """Mean activation (C,) of every channel that may be pruned."""
    if target.where == "input":
        return features(model, images).double().mean(0)
    return channel_means(model, target.layer, images, target.rectified)
