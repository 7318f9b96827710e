"""Neural Polarizer based Defense (Zhu, Wei, Zha and Wu, NeurIPS 2023, 2306.16697).

One more layer, put in late, filters what carries a backdoor out of the features; the network itself
stays as it is.

    1. put a polarizer g, a 1x1 convolution that begins as the identity and a BatchNorm, before a
       late convolution; all other weights are frozen
    2. warm up: CE over the clean images, `warm_epochs` with a small learning rate
    3. `epochs` times over the clean images (x, y): y' = argmax of f(x) over all classes but y;
       delta from 0, at most `inner_steps` times
           delta <- delta - adv_lr * sign(grad CE(f(clip(x + delta)), y')), to L2 norm <=
           trigger_norm,
       until it succeeds on 60 %; then, with P = softmax f(clip(x + delta)), descend
           lmd1 * CE(f(x), y) + lmd2 * CE(f(x + delta), f's own label of x)
           - lmd3 * log(1 - max over k != y of P_k) - lmd4 * log(1 - P_y')

The late convolution is the last but one on the way from image to head that leads through the most
convolutions; in the paper's network that is the first one of the last block. A transformer, whose
only convolution cuts patches, has none.

Departs from the paper: the BatchNorm of the polarizer begins with the statistics of the clean
images and the scale and shift that undo them, so that it, too, begins as the identity. As in the
paper's code its statistics stand still in step 3.
"""

from __future__ import annotations

import copy
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import (
    CleanSet,
    ConfigError,
    NotApplicable,
    Recipe,
    Repair,
    Repaired,
    device_of,
    fit,
    main_path,
    named_layer,
    param,
    trace,
)
from benchbd_zoo.defense.parts.preactivations import moments

ENOUGH = 0.6
"""Share of the images on which a perturbation must succeed to be left as it is."""

ALMOST_ONE = 1.0001
"""Stands for 1 in log(1 - P), so that it stays finite."""


class NPD(Repair):
    """Parameters carry the names of the reference implementation. It chooses nothing, so it learns
    from all clean images.
    """

    api = 1
    results_version = 2

    target_layer_name: str | None = param(
        None,
        "convolution before which the polarizer is put; unset: the last but one of the main path",
    )
    epochs: int = param(50, "passes in which the polarizer is learned", ge=0)
    lr: float = param(0.01, "learning rate, by SGD", gt=0)
    momentum: float = param(0.9, "momentum", ge=0, lt=1)
    weight_decay: float = param(5e-4, "L2 penalty on the polarizer", ge=0)
    batch_size: int = param(128, "images per step", ge=1)
    warm_epochs: int = param(5, "passes of the warm-up", ge=0)
    warm_lr: float = param(1e-4, "learning rate of the warm-up", gt=0)
    trigger_norm: float = param(
        3.0, "L2 norm that a perturbation may have, of pixels in [0, 1]", ge=0
    )
    adv_lr: float = param(0.1, "step of a perturbation in every pixel", gt=0)
    inner_steps: int = param(2, "steps of a perturbation at most", ge=1)
    lmd1: float = param(1.0, "weight of the loss on clean images", ge=0)
    lmd2: float = param(0.4, "weight of keeping the label under perturbation", ge=0)
    lmd3: float = param(0.4, "weight of lowering the best wrong class", ge=0)
    lmd4: float = param(0.4, "weight of lowering the class that the perturbation aims at", ge=0)

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Repaired:
        images = clean.all()
        layer = self._layer(model)
        polarized = _Polarized(model, layer, images.images)
        warm_up = Recipe(
            epochs=self.warm_epochs,
            lr=self.warm_lr,
            batch_size=self.batch_size,
            momentum=0,
            weight_decay=0,
            schedule="constant",
            shift=0,
        )
        fit(polarized, images, warm_up, rng, what="NPD: warm-up")
        polarized.adapts = False
        recipe = Recipe.of(self).model_copy(update={"schedule": "constant", "shift": 0})
        fit(polarized, images, recipe, rng, loss=self._loss, what="NPD: polarizer")
        return Repaired(polarized.network.requires_grad_(True).eval(), notes={"layer": layer})

    def _layer(self, model: nn.Module) -> str:
        """The convolution before which the polarizer is put."""
        if self.target_layer_name is not None:
            layer = named_layer(model, self.target_layer_name)
            if not isinstance(model.get_submodule(layer), nn.Conv2d):
                raise ConfigError(
                    f"npd: expected target_layer_name to be a convolution, got {layer!r}; name one"
                )
            return layer
        graph = trace(model)
        if graph is None:
            raise NotApplicable(
                "the network cannot be traced, so no late convolution is known; name one as "
                "target_layer_name"
            )
        path = main_path(graph)
        if len(path) < 2:
            raise NotApplicable(
                "a polarizer filters feature maps before a late convolution, and this network has "
                "none"
            )
        return path[-2]

    def _loss(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Step 3 for one batch."""
        logits = model(images).float()
        runner_up = _best_but(logits.detach(), labels)
        perturbed = self._perturbed(model, images, runner_up)
        attacked = model(perturbed).float()
        probabilities = attacked.softmax(1)
        return (
            self.lmd1 * F.cross_entropy(logits, labels)
            + self.lmd2 * F.cross_entropy(attacked, logits.detach().argmax(1))
            + self.lmd3 * _unlikely(probabilities, _best_but(probabilities.detach(), labels))
            + self.lmd4 * _unlikely(probabilities, runner_up)
        )

    def _perturbed(self, model: nn.Module, images: Tensor, target: Tensor) -> Tensor:
        """Images pushed towards `target`, clipped to [0, 1]."""
        delta = torch.zeros_like(images)
        for _ in range(self.inner_steps):
            delta.requires_grad_()
            loss = F.cross_entropy(model((images + delta).clamp(0, 1)).float(), target)
            with torch.no_grad():
                delta = _projected(
                    delta - self.adv_lr * torch.autograd.grad(loss, delta)[0].sign(),
                    self.trigger_norm,
                )
                reached = model((images + delta).clamp(0, 1)).argmax(1) == target
            if float(reached.float().mean()) > ENOUGH:
                break
        return (images + delta).clamp(0, 1).detach()


class _Polarized(nn.Module):
    """A frozen copy of `model` in eval mode with a polarizer before `layer`, which is all there is
    to learn.

    adapts: whether in training the polarizer normalises by the statistics of the batch and gathers
    them.
    """

    adapts = True

    def __init__(self, model: nn.Module, layer: str, images: Tensor) -> None:
        super().__init__()
        self.network = copy.deepcopy(model).eval().requires_grad_(False)
        self.polarizer = _identity(*moments(model, [layer], images, "NPD: statistics")[layer]).to(
            device_of(model)
        )
        self.network.set_submodule(
            layer,
            nn.Sequential(
                OrderedDict(polarizer=self.polarizer, conv=self.network.get_submodule(layer))
            ),
        )

    def train(self, mode: bool = True) -> _Polarized:
        super().train(False)
        self.polarizer.train(mode and self.adapts)
        return self

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)  # type: ignore[no-any-return]


def _identity(mean: Tensor, variance: Tensor) -> nn.Sequential:
    """A 1x1 convolution and a BatchNorm that leave maps of this mean (C,) and variance (C,) as they
    are.
    """
    width = len(mean)
    mix, norm = nn.utils.skip_init(nn.Conv2d, width, width, 1, bias=False), nn.BatchNorm2d(width)
    with torch.no_grad():
        mix.weight.copy_(torch.eye(width)[:, :, None, None])
        norm.get_buffer("running_mean").copy_(mean)
        norm.get_buffer("running_var").copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(mean)
    return nn.Sequential(mix, norm)


def _projected(delta: Tensor, norm: float) -> Tensor:
    """Every delta (C, H, W) of a batch, shortened to an L2 norm of at most `norm`."""
    length: Tensor = delta.flatten(1).norm(dim=1)[:, None, None, None]
    return delta * (norm / length.clamp(min=1e-12)).clamp(max=1)


def _best_but(scores: Tensor, labels: Tensor) -> Tensor:
    """The class (B,) of the highest score (B, K) but the label's."""
    return scores.scatter(1, labels[:, None], -torch.inf).argmax(1)


def _unlikely(probabilities: Tensor, classes: Tensor) -> Tensor:
    """Mean of - log(1 - P) of the given classes (B,)."""
    return -(ALMOST_ONE - probabilities.gather(1, classes[:, None])).log().mean()
