"""Grad-CAM (Selvaraju, Cogswell, Das, Vedantam, Parikh and Batra, ICCV 2017, 1610.02391): where a
network looks.

    alpha_k = mean over places of  d y^c / d A_k
        y^c: logit of the predicted class c, A_k: channel k of a map
    L = ReLU(sum over k of alpha_k * A_k)             enlarged to the size of the image

A is the last map that has more than one place. Where tokens, one for each place of that map, follow
it, A is the last of them on which y^c depends: behind a class token's last attention it depends on
no other token. Tokens of no place come first.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import NotApplicable, device_of, hardware, to_float, watching_outputs
from benchbd_zoo.defense.parts.attention import Size, stages


class GradCAM:
    """Of a copy of the network, whose gradients reach back no further than to A; uint8 `images`
    show which module gives A.
    """

    def __init__(self, model: nn.Module, images: Tensor) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        ends = stages(self.model, images)
        if not ends:
            raise NotApplicable(
                "the network has no map of more than one place, which Grad-CAM would weigh"
            )
        last, self.size = list(ends.items())[-1]
        self.layer = tokens_behind(self.model, self.size, images) or last

    def heat(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """L (B, H, W) of images (B, C, H, W) in [0, 1], and their predicted classes (B,)."""
        machine = hardware(str(images.device))
        with (
            torch.enable_grad(),
            machine.autocast(images),
            _opened(self.model.get_submodule(self.layer)) as seen,
        ):
            scores, classes = self.model(images).max(1)
            (gradient,) = torch.autograd.grad(scores.sum(), seen[-1:])
        alpha = self._map(gradient).mean((2, 3), keepdim=True)
        small = (alpha * self._map(seen[-1].detach())).sum(1, keepdim=True).relu()
        return F.interpolate(small, images.shape[2:], mode="bilinear")[:, 0], classes

    def _map(self, output: Tensor) -> Tensor:
        """(B, C, h, w) of a map, or of tokens (B, T, C)."""
        if output.ndim == 3:
            output = _of_places(output, self.size).mT.unflatten(2, self.size)
        return output.float()


def tokens_behind(model: nn.Module, size: Size, images: Tensor) -> str | None:
    """The module that is the last to give out tokens as wide as the features, on those of whose
    places the logits depend.
    """
    places, width = size[0] * size[1], model.head.in_features  # type: ignore[union-attr]
    seen: dict[str, Tensor] = {}

    def record(layer: str, output: object) -> None:
        if (
            isinstance(output, Tensor)
            and output.ndim == 3
            and output.shape[1] >= places
            and output.shape[2] == width
        ):
            seen.pop(layer, None)
            seen[layer] = output

    x = to_float(images.to(device_of(model))).requires_grad_()
    with (
        torch.enable_grad(),
        watching_outputs(model, [name for name, _ in model.named_modules() if name], record),
    ):
        score = model(x).amax(1).sum()
        gradients = (
            torch.autograd.grad(score, list(seen.values()), allow_unused=True) if seen else ()
        )
    found = [
        layer
        for layer, g in zip(seen, gradients, strict=True)
        if g is not None and bool(_of_places(g, size).any())
    ]
    return found[-1] if found else None


def _of_places(tokens: Tensor, size: Size) -> Tensor:
    return tokens[:, -size[0] * size[1] :]


@contextmanager
def _opened(module: nn.Module) -> Iterator[list[Tensor]]:
    """What the module gives out, as the beginning of a graph; what follows may overwrite its own
    copy.
    """
    seen: list[Tensor] = []

    def begin(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        seen.append(output.detach().requires_grad_())
        return seen[-1].clone()

    hook = module.register_forward_hook(begin)
    try:
        yield seen
    finally:
        hook.remove()
