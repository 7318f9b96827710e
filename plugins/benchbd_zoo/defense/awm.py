"""Adversarial Weight Masking (Chai and Chen, NeurIPS 2022, 2207.04497).

A trigger is a universal perturbation: find one, and fade the weights that let it work. Made for
very few clean images.

    every weight w gets a mask m in [0, 1], at first 1; the network computes with m * w. `outer`
    times:
    1. delta <- 0; over clean images x: ascend CE(f(x + delta), f's own label of x) by SGD;
       delta <- delta * min(1, trigger_norm / ||delta||_1)
    2. over clean images (x, y): descend by Adam
           alpha * CE(f(x), y) + (1 - alpha) * CE(f(clip(x + delta)), y) + gamma * sum |m|,
       then clip m to [0, 1]

Both go over as many images as `inner` passes have, drawn with replacement. The network stays in
eval mode, and the masked network is the result; nothing is thresholded and nothing chosen, so all
clean images are learned from.

Masked are the weights of all convolutions and, because transformers compute with little else, of
the linear layers before the head.

Departs from the paper: the authors' code leaves out what fills no batch in a pass, so that 500
images make 15 steps in each part of a round, here 20.
"""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from benchbd.api import (
    Augmentation,
    CleanSet,
    Repair,
    Repaired,
    device_of,
    epoch_done,
    hardware,
    param,
    track,
)
from benchbd_zoo.defense.parts.masked_norms import descend
from benchbd_zoo.defense.parts.passes import Passes


class AWM(Augmentation, Repair):
    """Parameters carry the names of the reference implementation where it has one."""

    api = 1
    results_version = 2
    quick: ClassVar[dict[str, Any]] = {"outer": 2, "inner": 1}

    lr: float = param(0.01, "learning rate of the masks, by Adam", gt=0)
    outer: int = param(20, "rounds", ge=1)
    inner: int = param(5, "passes over the clean images in each part of a round", ge=1)
    alpha: float = param(
        0.9, "weight of the loss on clean images against that on perturbed ones", ge=0, le=1
    )
    gamma: float = param(1e-8, "weight of the sum of all masks", ge=0)
    trigger_norm: float = param(
        1000.0, "L1 norm that the perturbation may have, of pixels in [0, 1]", ge=0
    )
    trigger_lr: float = param(10.0, "learning rate of the perturbation, by SGD", gt=0)
    batch_size: int = param(128, "images per step", ge=1)
    shift: int = param(0, "random crops: pixels of zero border", ge=0)

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Repaired:
        masked = _MaskedWeights(model)
        passes = Passes(clean.all(), self.batch_size, rng, shift=self.shift, flip=self.flip)
        optimizer = torch.optim.Adam(masked.masks.values(), lr=self.lr)
        delta = torch.zeros(clean.train.image_shape, device=device_of(model))
        for outer in track(range(self.outer), "AWM: rounds"):
            delta = self._perturbation(masked, passes, torch.zeros_like(delta))
            self._mask(masked, passes, delta, optimizer)
            epoch_done(masked, outer + 1)
        return Repaired(
            masked.merged(),
            notes={"perturbation_norm": float(delta.abs().sum()), "masks": masked.summary()},
            pictures={
                "last perturbation": (delta.abs() / delta.abs().max().clamp(min=1e-12)).cpu()
            },
        )

    def _perturbation(self, masked: _MaskedWeights, passes: Passes, delta: Tensor) -> Tensor:
        """Step 1: delta (C, H, W)."""
        machine = hardware(str(delta.device))
        for images, _ in passes.drawn(self.inner):
            delta = delta.detach().requires_grad_()
            with machine.autocast(images):
                with torch.no_grad():
                    own = masked(images).argmax(1)
                loss = F.cross_entropy(masked(images + delta).float(), own)
            delta = delta + self.trigger_lr * torch.autograd.grad(loss, delta)[0]
        delta = delta.detach()
        return delta * min(1.0, self.trigger_norm / max(float(delta.abs().sum()), 1e-12))

    def _mask(
        self,
        masked: _MaskedWeights,
        passes: Passes,
        delta: Tensor,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        """Step 2."""
        machine = hardware(str(delta.device))
        for images, labels in passes.drawn(self.inner):
            with machine.autocast(images):
                natural = F.cross_entropy(masked(images).float(), labels)
                perturbed = F.cross_entropy(masked((images + delta).clamp(0, 1)).float(), labels)
            loss = self.alpha * natural + (1 - self.alpha) * perturbed + self.gamma * masked.total()
            descend(masked.masks, loss, optimizer)


class _MaskedWeights(nn.Module):
    """A frozen copy of `model` in eval mode; every maskable weight is multiplied by a mask of its
    own shape.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(model).eval().requires_grad_(False)
        self.weights = {
            f"{name}.weight": m.get_parameter("weight")
            for name, m in _maskable(self.network).items()
        }
        self.masks = {
            name: torch.ones_like(weight).requires_grad_() for name, weight in self.weights.items()
        }

    def train(self, mode: bool = True) -> _MaskedWeights:
        """Always eval mode."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        masked = {name: weight * self.masks[name] for name, weight in self.weights.items()}
        return functional_call(self.network, masked, (images,))  # type: ignore[no-any-return]

    def total(self) -> Tensor:
        """Sum of all masks; none of them is negative."""
        return torch.stack([mask.sum() for mask in self.masks.values()]).sum()

    @torch.no_grad()
    def merged(self) -> nn.Module:
        """The network with masked weights, free to be trained again."""
        merged = copy.deepcopy(self.network).requires_grad_(True)
        for name, mask in self.masks.items():
            merged.get_parameter(name).mul_(mask)
        return merged

    def summary(self) -> dict[str, float]:
        """Mean of all masks, and the share of those that are nearly 0."""
        every = torch.cat([mask.detach().flatten() for mask in self.masks.values()])
        return {"mean": float(every.mean()), "below_0.1": float((every < 0.1).float().mean())}


def _maskable(network: nn.Module) -> dict[str, nn.Module]:
    """Convolutions, and linear layers but the head, by name."""
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and module is not network.head
    }
