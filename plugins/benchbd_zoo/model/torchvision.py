"""The classifiers of torchvision (TorchVision maintainers 2016): `torchvision:resnet18`,
`torchvision:vgg19_bn`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Self

from torch import nn

from benchbd.api import ImageShape, NotApplicable, prepare_torchvision
from benchbd_zoo.model.parts.provider import Provider
from benchbd_zoo.model.parts.stem import grey_stem

OPTIONS: dict[str, dict[str, Any]] = {
    name: {"aux_logits": False, "init_weights": True} for name in ("googlenet", "inception_v3")
}
"""These two have side classifiers, which would make their output in training mode a tuple."""

USUAL = (
    *("resnet18", "resnet34", "resnet50", "vgg11", "vgg16", "vgg16_bn"),
    *("densenet121", "mobilenet_v2", "shufflenet_v2_x1_0"),
)
"""Models of which weights are often passed on."""


class Torchvision(Provider):
    """A torchvision classifier by its name, with random weights; for grey images its first
    convolution has one channel.

    ViTs are built for the size of the images, which must be square and a multiple of their patches.

    `stem: small`, the default, changes ResNet-like models for images of at most 64 pixels: a 3x3
    convolution of stride 1 stands for the 7x7 one of stride 2, and the max pool after it is gone.
    All others stay as they are.
    """

    api = 1

    def variants(self) -> Collection[str]:
        import torchvision

        names: list[str] = torchvision.models.list_models(module=torchvision.models)
        return names

    @classmethod
    def recognise(cls, name: str) -> Self | None:
        prepare_torchvision()
        return cls(variant=name) if name in cls().variants() else None

    @classmethod
    def usual(cls) -> Iterator[Self]:
        for name in USUAL:
            yield cls(variant=name)

    @property
    def foreign_name(self) -> str:
        return self.variant

    def network(self, num_classes: int, image_shape: ImageShape) -> nn.Module:
        import torchvision

        channels, height, _ = image_shape
        if channels not in (1, 3):
            raise NotApplicable(
                f"torchvision's models take grey or RGB images, got {channels} channels"
            )
        options = (
            {"image_size": height}
            if self.variant.startswith("vit_")
            else OPTIONS.get(self.variant, {})
        )
        network: nn.Module = torchvision.models.get_model(
            self.variant, weights=None, num_classes=num_classes, **options
        )
        if channels == 1:
            grey_stem(network)
        return network

    def last_layer(self, network: nn.Module) -> object:
        """The last layer with weights that the network registers."""
        return [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)][-1]
