"""The form in which every part of benchbd handles a model: it takes images in [0, 1] and gives
logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from benchbd.engine.counting import count_samples
from benchbd.errors import ContractBroken


class Classifier(nn.Module):
    """A model as every method receives it: it takes images (N, C, H, W) in [0, 1] and gives logits
    (N, K).

    It normalises the images by `mean` and `std`, one number per channel, and passes them to
    `network`, the module that `Model.build` returned. `head` is the network's linear layer from
    features to classes; a layer that is assigned to `head` replaces it.

    >>> images = to_float(test.images[:8])
    >>> model(images).shape, model.features(images).shape
    (torch.Size([8, 4]), torch.Size([8, 16]))
    >>> model.head
    Linear(in_features=16, out_features=4, bias=True)
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def features(self, images: Tensor) -> Tensor:
        """Return the penultimate features (N, D) of images (N, C, H, W) in [0, 1].

        Raises `ContractBroken` for uint8 images.
        """
        # the proxy for images in a trace is no tensor
        if isinstance(images, Tensor) and images.dtype == torch.uint8:
            raise ContractBroken(
                f"a model takes images in [0, 1], got uint8 of shape {tuple(images.shape)}; call "
                "it with `to_float(images)`, "
                "or call `features`, `logits` or `predict` of benchbd.api, which take uint8"
            )
        count_samples(images)
        normalised = (images - self.mean) / self.std
        return self.network.features(normalised)  # type: ignore[operator, no-any-return]

    @property
    def head(self) -> nn.Linear:
        """The last layer, from features (N, D) to logits (N, K)."""
        return self.network.head  # type: ignore[return-value]

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute. A new `head` is given to the network: as a submodule of this class it
        would never run.
        """
        if name == "head":
            self.network.head = value
        else:
            super().__setattr__(name, value)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, K) of images (N, C, H, W) in [0, 1]."""
        return self.network.head(self.features(images))  # type: ignore[operator, no-any-return]
