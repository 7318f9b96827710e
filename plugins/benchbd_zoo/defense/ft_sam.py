"""FT-SAM (Zhu, Wei, Shen, Fan and Wu, ICCV 2023, 2304.11823): fine-tune towards flat minima, which
shrinks backdoor neurons.

Every step goes twice through the network, as in adaptive sharpness-aware minimisation (Kwon et al.,
ICML 2021):

    1. g = gradient of CE(f_w(x), y), labels smoothed: 1 - s for y, s / (K - 1) for each other class
    2. w_adv = w + rho * T^2 g / ||T g||_2,  T = |w|        the norm runs over all weights
    3. w <- w - lr * gradient of CE at w_adv, by SGD

Running statistics of BatchNorm move in the first pass alone.

Departs from the paper: rho is constant, as rho_min = rho_max of the reference, whose further term
for the direction of the gradient has the weight 0.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call

from benchbd.api import CleanSet, Recipe, fit, param
from benchbd_zoo.defense.parts.tuning import Tuning

Weights = dict[str, Tensor]


class FTSAM(Tuning):
    """Costs two passes per step; it chooses nothing, so it needs no validation split."""

    api = 1
    results_version = 2

    rho: float = param(
        2.0, "size of the step to the adversarial weights, relative to each weight", ge=0
    )
    label_smoothing: float = param(
        0.1, "share s of the label that is spread over the other classes", ge=0, lt=1
    )
    epochs: int = param(100, "passes over the clean images", ge=0)
    batch_size: int = param(256, "images per step", ge=1)

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> nn.Module:
        return fit(
            model,
            clean.all(),
            Recipe.of(self),
            rng,
            loss=self._loss,
            what="sharpness-aware fine-tuning",
        )

    def _loss(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        error = partial(smoothed_cross_entropy, labels=labels, smoothing=self.label_smoothing)
        weights: Weights = {
            name: parameter
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        }

        def elsewhere(moved: Weights) -> Tensor:
            statistics = {
                name: buffer.clone() for name, buffer in model.named_buffers()
            }  # copies, so that none of them moves
            return error(functional_call(model, moved | statistics, (images,)).float())

        return sharpness_aware(error(model(images).float()), weights, elsewhere, self.rho)


def smoothed_cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """The mean cross-entropy of logits (N, K) to labels (N,), of which `smoothing` is spread over
    the K - 1 other classes.
    """
    likely = logits.log_softmax(1)
    right = likely.gather(1, labels[:, None])[:, 0]
    others = (likely.sum(1) - right) / max(1, logits.shape[1] - 1)
    return -((1 - smoothing) * right + smoothing * others).mean()


def sharpness_aware(
    loss: Tensor, weights: Weights, elsewhere: Callable[[Weights], Tensor], rho: float
) -> Tensor:
    """The loss at the adversarial weights; its gradient with respect to `weights` is that taken
    there.

    loss: at `weights`. elsewhere: the loss at other weights.
    """
    gradients = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True)
    scaled = [
        weight.detach().abs() * gradient
        for weight, gradient in zip(weights.values(), gradients, strict=True)
    ]
    norm = torch.stack([part.norm() for part in scaled]).norm() + 1e-12
    steps = [
        rho * weight.detach().abs() * part / norm
        for weight, part in zip(weights.values(), scaled, strict=True)
    ]
    return elsewhere(
        {name: weight + step for (name, weight), step in zip(weights.items(), steps, strict=True)}
    )
