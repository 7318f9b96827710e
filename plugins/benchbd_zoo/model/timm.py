"""The models of timm (Wightman 2019, "PyTorch Image Models"): `timm:resnet18`,
`timm:vit_tiny_patch16_224`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import nn

from benchbd.api import ConfigError, ImageShape, param
from benchbd_zoo.model.parts.provider import Provider


class Timm(Provider):
    """A timm model by its name, with random weights, for the channels, classes and size at hand.

    Models bound to one size (ViT, Swin, mixers) are built for the size of the images, which must be
    a multiple of their patches: 32x32 pixels are four patches for `vit_tiny_patch16_224`, and 64
    with `patch_size` 4.

    `stem: small`, the default, changes ResNet-like models for images of at most 64 pixels: a 3x3
    convolution of stride 1 stands for the 7x7 one of stride 2, and the max pool after it is gone.
    All others stay as they are.
    """

    api = 1

    patch_size: int | None = param(
        None,
        "side of the patches in pixels, for models that cut patches; unset: the model's own",
        ge=1,
    )

    def variants(self) -> Collection[str]:
        import timm

        names: list[str] = timm.list_models()
        return names

    def network(self, num_classes: int, image_shape: ImageShape) -> nn.Module:
        import timm

        options: dict[str, Any] = {"num_classes": num_classes, "in_chans": image_shape[0]}
        if getattr(
            timm.get_pretrained_cfg(self.variant, allow_unregistered=True),
            "fixed_input_size",
            False,
        ):
            options["img_size"] = image_shape[1:]
        if self.patch_size is not None:
            options["patch_size"] = self.patch_size
        try:
            network: nn.Module = timm.create_model(self.variant, pretrained=False, **options)
        except TypeError as error:
            if self.patch_size is None:
                raise
            raise ConfigError(
                f"timm:{self.variant} takes no patch_size ({error}); leave it unset"
            ) from None
        return network

    def last_layer(self, network: nn.Module) -> object:
        return network.get_classifier()  # type: ignore[operator]
