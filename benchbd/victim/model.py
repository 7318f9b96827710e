"""The contract of models: a network with features and a linear head."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
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
"""The shape of one image: channels, height, width.

>>> shape: ImageShape = (3, 32, 32)
"""


class Model(Plugin, ABC):
    """An architecture. It writes `build`, which returns a network with a method `features` and a
    linear layer `head`.

    The core adds the normalisation, so the network sees normalised images. Models that other tools
    have as well may override `recognise`, `foreign_name`, `fitted`, `foreign_names` and
    `flattened`, which are used to import and export weights.

    >>> class Network(nn.Module):
    ...     def __init__(self, inputs, classes):
    ...         super().__init__()
    ...         self.body = nn.Sequential(nn.Flatten(), nn.Linear(inputs, 5), nn.ReLU())
    ...         self.head = nn.Linear(5, classes)
    ...
    ...     def features(self, images):
    ...         return self.body(images)
    >>> class Perceptron(Model):
    ...     api = 1
    ...
    ...     def build(self, num_classes, image_shape):
    ...         channels, height, width = image_shape
    ...         return Network(channels * height * width, num_classes)
    >>> built = Perceptron().classifier(train, seed=0)
    >>> logits(built, test.images).shape
    torch.Size([100, 4])
    """

    kind: ClassVar[str] = "model"

    @abstractmethod
    def build(self, num_classes: int, image_shape: ImageShape) -> nn.Module:
        """Return a fresh network for images of `image_shape` (C, H, W). Its method
        `features(images)` takes normalised images (N, C, H, W) and returns (N, D), and its `head`
        is a `torch.nn.Linear` from D to `num_classes`.

        Raises `NotApplicable` for a shape that the architecture cannot take.
        """

    @classmethod
    def recognise(cls, name: str) -> Self | None:
        """Return this architecture if `name` is what another tool calls it; None for any other
        name.
        """
        return None

    @classmethod
    def usual(cls) -> Iterable[Self]:
        """Yield the forms of this architecture that files of weights are usually of, to tell which
        one a file is nearest to: the one with all defaults.
        """
        yield cls()

    @property
    def foreign_name(self) -> str | None:
        """The name of this architecture in other tools, in a form that `recognise` knows; None
        where they do not have it.
        """
        return None

    def fitted(self, state: Mapping[str, Tensor]) -> Self:
        """Return this model with the parameters that fit the shapes of the tensors in `state`, the
        weights of another implementation.
        """
        return self

    def foreign_names(self, network: nn.Module) -> dict[str, str]:
        """Return, for every parameter and buffer of `network`, which `build` returned, its name in
        the usual implementation elsewhere.
        """
        return {name: name for name in network.state_dict()}

    def flattened(self, image_shape: ImageShape) -> dict[str, ImageShape]:
        """Return the linear layers that read a flattened map, by name, with the shape (C, H, W) of
        that map.
        """
        return {}

    def classifier(self, train: ImageSet, seed: int) -> Classifier:
        """Return a freshly initialised classifier for images like those of `train`, normalised by
        their statistics. Its weights are drawn from `seed`.

        Raises `ContractBroken` when the network lacks `features` or `head`.
        """
        mean, std = train.statistics()
        model = self.restore(train.num_classes, train.image_shape, mean, std, seed)
        with torch.no_grad():
            self.adapt(model, train)
        return model

    def adapt(self, model: Classifier, train: ImageSet) -> None:
        """Set, in place, those initial weights of a fresh `model` that depend on the training
        images. Most architectures have none.

        It draws no random number. A restored model is not adapted: its weights are the stored ones.
        """
        return

    def restore(
        self,
        num_classes: int,
        image_shape: ImageShape,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        seed: int = 0,
    ) -> Classifier:
        """Return a classifier for that number of classes and that shape, normalised by `mean` and
        `std` per channel. Its weights are drawn from `seed`; `load_state_dict` replaces them by the
        stored ones.

        Raises `ContractBroken` when the network lacks `features` or `head`.
        """
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
