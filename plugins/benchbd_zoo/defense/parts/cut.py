"""A network in two parts, cut at the output of one of its layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchbd.api import Classifier, ImageShape, device_of, watching_outputs
from benchbd_zoo.defense.parts.attention import stages


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


class HeadCut:
    """A network before and after its penultimate features (N, D), as `Cut` has them."""

    layer = "features"

    def __init__(self, model: Classifier) -> None:
        self.model = model

    def before(self, images: Tensor) -> Tensor:
        return self.model.features(images)

    def after(self, values: Tensor) -> Tensor:
        return self.model.head(values)  # type: ignore[no-any-return]


def last_maps(model: Classifier, images: Tensor) -> Cut | HeadCut:
    """The cut after the last stage that uint8 `images` (N, C, H, W) pass, where the last maps leave
    the network. One with a single stage or none, such as a transformer, is cut before its head.
    """
    ends = list(stages(model, images[:1]))
    if len(ends) < 2:
        return HeadCut(model)
    channels, height, width = images.shape[1:]
    return Cut(model, ends[-1], (channels, height, width))
