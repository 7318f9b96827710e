"""Parameters of another implementation, loaded into our model of the same architecture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from torch import Tensor, nn

from benchbd.data.images import ImageSet
from benchbd.engine.classifier import Classifier
from benchbd.errors import NotApplicable, PluginError, RecordError
from benchbd.plugin.registry import entries, load
from benchbd.victim.model import Model

StateDict = Mapping[str, Tensor]
Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each channel, for images in [0, 1]."""

SMALLEST_DEVIATION = 1e-6
"""Smallest standard deviation that is accepted. Images divided by less would no longer be numbers
of ordinary size; one level of 255 is 0.004.
"""

COUNTERS = "num_batches_tracked"
"""Buffers that old versions of PyTorch did not store, and that no prediction depends on."""


def are_usable(statistics: Statistics, channels: int) -> bool:
    """Return whether images with that many channels can be normalised by these statistics."""
    mean, std = statistics
    numbers = all(math.isfinite(value) for value in (*mean, *std))
    return len(mean) == len(std) == channels and numbers and min(std) >= SMALLEST_DEVIATION


def recognised(name: str) -> Iterator[Model]:
    """Yield the models of ours that another tool may mean by `name`."""
    for entry in entries("model"):
        try:
            model = cast(type[Model], load("model", f"{entry.provider}/{entry.name}")).recognise(
                name
            )
        except PluginError:  # a broken plugin is reported where plugins are listed
            continue
        if model is not None:
            yield model


def restored_by_name(
    name: str, state: StateDict, images: ImageSet, statistics: Statistics
) -> tuple[Model, Classifier]:
    """Return the first of our models that `name` may mean and `state` fits. Raises
    `RecordError`.
    """
    refusals = []
    for model in recognised(name):
        try:
            fitted = model.fitted(state)
            return fitted, restored(fitted, state, images, statistics)
        except (RecordError, NotApplicable) as error:
            refusals.append(str(error))
    if refusals:
        raise RecordError("; ".join(refusals))
    raise RecordError(
        f"no model here is known elsewhere as {name!r}; write a model plugin that recognises the "
        "name"
    )


def restored(
    model: Model, state: StateDict, images: ImageSet, statistics: Statistics
) -> Classifier:
    """Return our classifier with the parameters of `state`, for images like `images`.

    Names may be those of our own network or of the usual implementation elsewhere. Raises
    `RecordError` with the first names or shapes that do not fit.
    """
    classifier = model.restore(images.num_classes, images.image_shape, *statistics)
    network = classifier.network
    given = {
        name.removeprefix("module.").removeprefix("network."): value
        for name, value in state.items()
    }
    own = network.state_dict()
    names = (
        {name: name for name in own} if own.keys() <= given.keys() else model.foreign_names(network)
    )
    _require_fit(model, own, given, names)
    network.load_state_dict(
        {name: given[names[name]] for name in own if names[name] in given}, strict=False
    )
    return classifier.eval()


def released(model: Model, network: nn.Module) -> dict[str, Tensor]:
    """Return the parameters of `network`, which is of `model`, under the names that they have
    elsewhere.
    """
    names = model.foreign_names(network)
    return {
        names[name]: value.detach().cpu().contiguous()
        for name, value in network.state_dict().items()
    }


def _require_fit(model: Model, own: StateDict, given: StateDict, names: Mapping[str, str]) -> None:
    missing = [
        names[name] for name in own if names[name] not in given and not name.endswith(COUNTERS)
    ]
    known = {*names.values(), "mean", "std"}
    strange = [name for name in given if name not in known]
    shapes = [
        f"{names[name]} has {tuple(given[names[name]].shape)}, expected {tuple(value.shape)}"
        for name, value in own.items()
        if names[name] in given and given[names[name]].shape != value.shape
    ]
    faults = [
        *(
            f"{text} {_first(found)}"
            for text, found in (("it lacks", missing), ("unknown are", strange), ("", shapes))
            if found
        )
    ]
    if faults:
        raise RecordError(
            f"these parameters do not fit the model {model.name} {model.params}: "
            f"{'; '.join(faults)}".strip()
        )


def _first(found: Sequence[str], shown: int = 3) -> str:
    return ", ".join(found[:shown]) + (
        f" and {len(found) - shown} more" if len(found) > shown else ""
    )


def require_state(state: object, who: str) -> dict[str, Tensor]:
    """Return `state` if it is a table of tensors by name. Otherwise raise `RecordError`."""
    if (
        not isinstance(state, dict)
        or not state
        or not all(isinstance(v, Tensor) and isinstance(k, str) for k, v in state.items())
    ):
        raise RecordError(
            f"{who}: expected a table of parameters by name, found a {type(state).__name__}"
        )
    return state
