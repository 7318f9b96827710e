"""The contract of models: a network with features and a linear head."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from benchbd.data.images import ImageSet
from benchbd.engine.classifier import Classifier
from benchbd.engine.strided import make_safe
from benchbd.errors import ContractBroken
from benchbd.plugin.plugin import Plugin
from benchbd.seeds import global_random_state

ImageShape = tuple[int, int, int]
"""(C, H, W)"""


class Model(Plugin, ABC):
    """An architecture. Normalisation is not its business: its network sees normalised images."""

    kind: ClassVar[str] = "model"

    @abstractmethod
    def build(self, num_classes: int, image_shape: ImageShape) -> nn.Module:
        """A fresh network with `features(x)` (N, D) for x (N, C, H, W), and a linear `head` (D ->
        num_classes).

        Raises `NotApplicable` for a shape that the architecture cannot take.
        """

    @classmethod
    def recognise(cls, name: str) -> Self | None:
        """This architecture under the name that another tool gives it; None for a name of something
        else.
        """
        return None

    @property
    def foreign_name(self) -> str | None:
        """What other tools call it, and `recognise` knows; None for an architecture that they do
        not have.
        """
        return None

    def fitted(self, state: Mapping[str, Tensor]) -> Self:
        """This model with the options that the shapes in the parameters of another implementation
        ask for.
        """
        return self

    def foreign_names(self, network: nn.Module) -> dict[str, str]:
        """By the name of a parameter or buffer of `network`, which `build` gave: its name in the
        usual implementation elsewhere.
        """
        return {name: name for name in network.state_dict()}

    def flattened(self, image_shape: ImageShape) -> dict[str, ImageShape]:
        """Linear layers that read a flattened map, by name, and the shape (C, H, W) of that map."""
        return {}

    def classifier(self, train: ImageSet, seed: int) -> Classifier:
        """A freshly initialised classifier for images like `train`, normalised by their
        statistics.
        """
        mean, std = train.statistics()
        return self.restore(train.num_classes, train.image_shape, mean, std, seed)

    def restore(
        self,
        num_classes: int,
        image_shape: ImageShape,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        seed: int = 0,
    ) -> Classifier:
        """A classifier of the given outline; `load_state_dict` fills in what was stored."""
        with global_random_state(seed):
            network = self.build(num_classes, image_shape)
        if not callable(getattr(network, "features", None)) or not isinstance(
            getattr(network, "head", None), nn.Linear
        ):
            raise ContractBroken(
                f"model {self.name!r}: build() returned a {type(network).__name__} without a "
                "method `features(x)` "
                "and a torch.nn.Linear called `head`; give it both"
            )
        make_safe(network)
        model = Classifier(network, mean, std)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return model.eval()
