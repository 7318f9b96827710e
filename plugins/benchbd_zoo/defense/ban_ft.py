"""BAN's fine-tuning (Xu, Liu, Koffas, Yu and Picek, NeurIPS 2024, 2405.19928): stay right under the
noise that would wake a backdoor up.

The neurons of a backdoor react most to adversarial noise on their weights. Fine-tuning that has to
be right under such noise, too, takes that away from them. In every batch:

    1. d, xi ~ U(-eps, eps) for every channel of every normalisation layer; `steps` times
           d, xi <- d, xi + (eps / steps) * sign(grad CE)
       with scale * (1 + d) and shift * (1 + xi)                         perturbed network
    2. minimise over all weights  CE(f(x), y) + rob_lambda * CE(f_perturbed(x), y)

As in the paper's code d and xi are not projected back, so that they may reach 2 eps, and running
statistics move in every pass.

Departs from the paper: normalisation layers other than BatchNorm with a scale (LayerNorm,
GroupNorm) are perturbed in the same way. Its command says 25 epochs, of which its code runs 24.
Rate and weight are those of its command; the code's own defaults are .01 and .2.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from benchbd.api import CleanSet, Descent, Recipe, Repair, fit, fork, norm_layers, param


class BANFT(Descent, Repair):
    """Parameters carry the names of the reference implementation. It chooses nothing, so it learns
    from all clean images.
    """

    api = 1

    epochs: int = param(25, "passes over the clean images", ge=0)
    batch_size: int = param(128, "images per step", ge=1)
    lr: float = param(0.005, "learning rate, by SGD", gt=0)
    eps: float = param(0.3, "size of the noise, relative to each scale and shift", ge=0)
    steps: int = param(1, "steps of the noise", ge=1)
    rob_lambda: float = param(0.5, "weight of the loss under noise", ge=0)

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> nn.Module:
        noise = NeuronNoise(model, self.eps, self.steps, fork(rng))

        def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
            perturbed = F.cross_entropy(noise.perturbed(model, images, labels).float(), labels)
            natural = F.cross_entropy(model(images).float(), labels)
            return natural + self.rob_lambda * perturbed

        recipe = Recipe.of(self).model_copy(update={"schedule": "constant"})
        return fit(model, clean.all(), recipe, rng, loss=loss, what="fine-tuning under noise")


class NeuronNoise:
    """Noise on the scales and shifts of the normalisation layers of `model`, drawn from `rng`."""

    def __init__(self, model: nn.Module, eps: float, steps: int, rng: torch.Generator) -> None:
        self.names = [
            f"{layer}.{part}"
            for layer, module in norm_layers(model).items()
            for part in ("weight", "bias")
            if getattr(module, part) is not None
        ]
        self.eps, self.steps, self.rng = eps, steps, rng

    def perturbed(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Logits (B, K) of images (B, C, H, W) under noise that was drawn and climbed for them."""
        weights = {name: model.get_parameter(name) for name in self.names}
        noise = {name: self._drawn(weight) for name, weight in weights.items()}
        for _ in range(self.steps if self.eps else 0):
            loss = F.cross_entropy(_under(noise, weights, model, images).float(), labels)
            slopes = torch.autograd.grad(loss, list(noise.values()), materialize_grads=True)
            with torch.no_grad():
                for part, slope in zip(noise.values(), slopes, strict=True):
                    part.add_(self.eps / self.steps * slope.sign())
        fixed = {name: part.detach() for name, part in noise.items()}
        return _under(fixed, weights, model, images)

    def _drawn(self, weight: Tensor) -> Tensor:
        drawn = (2 * torch.rand(weight.shape, generator=self.rng) - 1) * self.eps
        return drawn.to(weight.device).requires_grad_()


def _under(
    noise: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    model: nn.Module,
    images: Tensor,
) -> Tensor:
    changed = {name: weight * (1 + noise[name]) for name, weight in weights.items()}
    return functional_call(model, changed, (images,))  # type: ignore[no-any-return]
