"""A network in two parts, cut at the output of one of its layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchbd.api import ImageShape, device_of, watching_outputs


class Cut:
    """`model` before and after the output of `layer`, which all that follows must read from there
    alone: the end of a stage is such a place. A module that is cut keeps its mode and its weights.
    """

    def __init__(self, model: nn.Module, layer: str, shape: ImageShape) -> None:
        self.model, self.layer = model, layer
        self.blank = torch.zeros(1, *shape, device=device_of(model))

    def before(self, images: Tensor) -> Tensor:
        """The output of the layer for images (N, C, H, W) in [0, 1]."""
        seen: list[Tensor] = []
        with watching_outputs(self.model, [self.layer], lambda _, output: seen.append(output)):
            self.model(images)
        return seen[0]

    def after(self, values: Tensor) -> Tensor:
        """The logits (N, K) of the network with `values` (N, ...) in place of the layer's output.
        What stands before the layer sees a single black image.
        """
        place = self.model.get_submodule(self.layer)
        hook = place.register_forward_hook(lambda module, inputs, output: values)
        try:
            return self.model(self.blank)  # type: ignore[no-any-return]
        finally:
            hook.remove()
