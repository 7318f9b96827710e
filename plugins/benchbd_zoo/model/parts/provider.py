"""What the models of other libraries share: `timm:resnet18` names a model of timm, and so on."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping
from typing import Literal, Self

import torch
from torch import Tensor, nn

from benchbd.api import (
    ImageShape,
    Model,
    NotApplicable,
    PluginNotFound,
    nearest,
    param,
    prepare_torchvision,
)
from benchbd_zoo.model.parts.stem import require_whole_patches, small_stem

SMALL = 64
"""Pixels of the longer side up to which an image counts as small."""


class Provider(Model):
    """A library of models, untrained. The library is imported when a model is built."""

    variant: str = param("resnet18", "name of the model in its library; never with stored weights")
    stem: Literal["as_is", "small"] = param(
        "small",
        "small: for images up to 64 pixels, a 7x7 stem of stride 2 with max pool becomes a 3x3 "
        "one of stride 1 without",
    )

    @abstractmethod
    def variants(self) -> Collection[str]:
        """Names of all models of the library."""

    @abstractmethod
    def network(self, num_classes: int, image_shape: ImageShape) -> nn.Module:
        """The library's network, with random weights."""

    @abstractmethod
    def last_layer(self, network: nn.Module) -> object:
        """What turns the features of `network` into logits."""

    def build(self, num_classes: int, image_shape: ImageShape) -> nn.Module:
        prepare_torchvision()
        self._require_variant()
        try:
            network = self.network(num_classes, image_shape)
            require_whole_patches(network, image_shape)
            if self.stem == "small" and max(image_shape[1:]) <= SMALL:
                small_stem(network)
            adapted = Adapted(network, self._linear(network))
            _try_out(adapted, image_shape)
        except (AssertionError, RuntimeError, ValueError) as error:
            shape = "x".join(map(str, image_shape))
            raise NotApplicable(
                f"{self.name}:{self.variant} does not take images of {shape}: {error}"
            ) from error
        return adapted

    def fitted(self, state: Mapping[str, Tensor]) -> Self:
        """With the stem that a first kernel of 7x7 pixels, or a smaller one, belongs to."""
        first = next((value for value in state.values() if value.ndim == 4), None)
        return (
            self
            if first is None
            else self.model_copy(update={"stem": "as_is" if first.shape[2] == 7 else "small"})
        )

    def foreign_names(self, network: nn.Module) -> dict[str, str]:
        """In its library the last layer stands in its place in the network."""
        assert isinstance(network, Adapted)
        places = {name: name.removeprefix("body.") for name in network.state_dict()}
        return places | {
            name: f"{network.place}.{name.removeprefix('head.')}"
            for name in places
            if name.startswith("head.")
        }

    def _require_variant(self) -> None:
        known = self.variants()
        if self.variant not in known:
            raise PluginNotFound(
                f"{self.name} has no model named {self.variant!r}{nearest(self.variant, known)}"
            )

    def _linear(self, network: nn.Module) -> nn.Linear:
        last = self.last_layer(network)
        if not isinstance(last, nn.Linear):
            raise NotApplicable(
                f"{self.name}:{self.variant} does not end in one linear layer, but in a "
                f"{type(last).__name__}"
            )
        return last


class Adapted(nn.Module):
    """A library's network without its last layer as `body`, and that layer, which stood at `place`,
    as `head`.
    """

    def __init__(self, network: nn.Module, last: nn.Linear) -> None:
        super().__init__()
        self.place = next(name for name, module in network.named_modules() if module is last)
        network.set_submodule(self.place, nn.Identity())
        _compute_out_of_place(network)
        self.body = network
        self.head = last

    def features(self, images: Tensor) -> Tensor:
        return self.body(images)  # type: ignore[no-any-return]


def _compute_out_of_place(network: nn.Module) -> None:
    """A hook on a layer should read what the layer gave, not what the next activation wrote over
    it.
    """
    for module in network.modules():
        if getattr(module, "inplace", False):
            module.inplace = False  # type: ignore[assignment]


@torch.no_grad()
def _try_out(adapted: Adapted, image_shape: ImageShape) -> None:
    """Pass one black image through; raises `ValueError` unless the features are what the head
    reads.
    """
    found = tuple(adapted.eval().features(torch.zeros(1, *image_shape)).shape)
    adapted.train()
    if found != (1, adapted.head.in_features):
        raise ValueError(f"expected features of shape (1, {adapted.head.in_features}), got {found}")
