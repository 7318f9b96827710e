"""Parameters of another implementation, loaded into our model of the same architecture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from benchbd.data.images import ImageSet
from benchbd.engine.classifier import Classifier
from benchbd.errors import ConfigError, NotApplicable, PluginError, RecordError
from benchbd.importing.naming import Naming, StateDict, namings
from benchbd.plugin.registry import entries, load
from benchbd.victim.model import Model

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each channel, for images in [0, 1]."""

SMALLEST_DEVIATION = 1e-6
"""Smallest standard deviation that is accepted. Images divided by less would no longer be numbers
of ordinary size; one level of 255 is 0.004.
"""


class DoesNotFit(RecordError):
    """Parameters of another network than the one they were meant for."""


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
    model: Model,
    state: StateDict,
    images: ImageSet,
    statistics: Statistics,
    prefix: str | None = None,
) -> Classifier:
    """Return our classifier with the parameters of `state`, for images like `images`.

    Names may be those of our own network or of the usual implementation elsewhere, all with one
    prefix. prefix: the one to take away; if unset, any. Raises `RecordError` with the first names
    or shapes that do not fit, or with the weights that are not finite.
    """
    classifier = model.restore(images.num_classes, images.image_shape, *statistics)
    network = classifier.network
    naming = found_names(model, network, state, prefix)
    _require_fit(model, network.state_dict(), state, naming)
    _require_finite(state, naming)
    network.load_state_dict({own: state[name] for own, name in naming.names.items()}, strict=False)
    return classifier.eval()


def found_names(
    model: Model, network: nn.Module, state: StateDict, prefix: str | None = None
) -> Naming:
    """Return the way to read `state` as the parameters of `network`, or the one that comes nearest.

    Raises `RecordError` where two prefixes give whole networks.
    """
    own = network.state_dict()
    best, *others = namings(own, model.foreign_names(network), state, prefix)
    rivals = [each.prefix for each in others if each.is_whole and not each.strange]
    if best.is_whole and best.prefix and rivals:
        raise RecordError(
            f"several whole networks are in this table, under the prefixes "
            f"{', '.join(map(repr, [best.prefix, *rivals]))}; choose one with --prefix"
        )
    return best


def nearest_model(state: StateDict, images: ImageSet) -> tuple[str, float] | None:
    """Return the known architecture to which most tensors of `state` fit by name and shape, as a
    person names it, and the share of them that do; the last layer is not counted.
    """
    shares = {
        called: _share_that_fits(model, state, images)
        for entry in entries("model")
        for called, model in _usual_models(f"{entry.provider}/{entry.name}", entry.name)
    }
    return max(shares.items(), key=lambda item: item[1], default=None)


def _usual_models(full_name: str, name: str) -> Iterator[tuple[str, Model]]:
    try:
        cls = cast(type[Model], load("model", full_name))
        for model in cls.usual():
            variant = model.params.get("variant")
            yield (f"{name}:{variant}" if variant else name), model
    except (PluginError, ConfigError):  # a broken plugin is reported where plugins are listed
        return


def _share_that_fits(model: Model, state: StateDict, images: ImageSet) -> float:
    """Return the share of the tensors in `state` that have a place in the network; nothing is
    computed for it.
    """
    try:
        fitted = model.fitted(state)
        with torch.device("meta"):
            network = fitted.build(images.num_classes, images.image_shape)
    except Exception:  # a network that cannot be built for these images is not the nearest
        return 0.0
    own = network.state_dict()
    naming = namings(own, fitted.foreign_names(network), state)[0]
    fits = [name for ours, name in naming.names.items() if own[ours].shape == state[name].shape]
    return len(fits) / max(len(own), len(state))


def released(model: Model, network: nn.Module) -> dict[str, Tensor]:
    """Return the parameters of `network`, which is of `model`, under the names that they have
    elsewhere.
    """
    names = model.foreign_names(network)
    return {
        names[name]: value.detach().cpu().contiguous()
        for name, value in network.state_dict().items()
    }


def _require_fit(model: Model, own: StateDict, given: StateDict, naming: Naming) -> None:
    shapes = [
        f"{name} has {tuple(given[name].shape)}, expected {tuple(own[ours].shape)}"
        for ours, name in naming.names.items()
        if given[name].shape != own[ours].shape
    ]
    faults = [
        *(
            f"{text} {_first(found)}"
            for text, found in (
                ("it lacks", naming.missing),
                ("unknown are", naming.strange),
                ("", shapes),
            )
            if found
        )
    ]
    if faults:
        raise DoesNotFit(
            f"these parameters do not fit the model {model.name} {model.params}: "
            f"{'; '.join(faults)}".strip()
        )


def _require_finite(given: StateDict, naming: Naming) -> None:
    """Raise `RecordError` for weights that are not finite, because such a network gives all images
    the same answer.
    """
    broken = {
        name: int((~given[name].isfinite()).sum())
        for name in naming.names.values()
        if given[name].is_floating_point() and not bool(given[name].isfinite().all())
    }
    if broken:
        told = [f"{count:,} in {name}" for name, count in broken.items()]
        raise RecordError(
            f"weights that are not finite (nan or infinite): {_first(told)}; the training of this "
            "model has diverged, take an earlier checkpoint"
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
