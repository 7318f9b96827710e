"""Neural Fine-Tuning (Karim, Al Arafat, Khalid, Guo and Rahnavard, ECCV 2024, 2407.10052): tune one
number a neuron, with mixed images.

Fine-tuning all weights on a few clean images overfits them; a mask over neurons, held near 1, does
not.

    1. every channel of every normalisation layer gets a mask m, at first 1; all weights are frozen
    2. `steps` times, on a batch drawn with replacement and mixed with itself in another order,
           x = lam * x_a + (1 - lam) * x_b,  lam ~ U(0, 1), one number for the batch:
       m <- m - lr * grad [ lam * CE(f_m(x), y_a) + (1 - lam) * CE(f_m(x), y_b)
                            + eta / N_c * sum |1 - m| ]
       with N_c the clean images of a class, by SGD, and m clipped to [alpha * exp(-beta * l), 1] in
       the l-th layer, l = 1 for the first: deep layers, which carry the backdoor, may change most
    3. scale every channel by its mask

The network is in training mode, and the running statistics that it gathers are kept. The learning
rate falls along a cosine from `lr` to `last_lr`, a fifth of the way after every fifth of the steps.

Departs from the paper: nothing but the clean images, 1 % of CIFAR-10 there; normalisation layers
other than BatchNorm (LayerNorm, GroupNorm) are masked in the same way.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import (
    Augmentation,
    Batches,
    CleanSet,
    ImageSet,
    Repair,
    Repaired,
    device_of,
    fork,
    hardware,
    norm_layers,
    param,
    to_float,
    track,
)
from benchbd_zoo.defense.parts.masked_norms import MaskedNorms, descend

STAGES = 5
"""Times that the learning rate is lowered."""


class NFT(Augmentation, Repair):
    """It chooses nothing, so it learns from all clean images."""

    api = 1

    steps: int = param(1000, "steps of the masks", ge=0)
    batch_size: int = param(128, "images per step, drawn with replacement", ge=1)
    lr: float = param(0.05, "learning rate of the masks at the start", gt=0)
    last_lr: float = param(0.02, "learning rate to which it falls", gt=0)
    momentum: float = param(0.95, "momentum of the masks", ge=0, lt=1)
    eta: float = param(1e-3, "weight of the distance from 1, for one clean image a class", ge=0)
    alpha: float = param(0.8, "lower bound of masks at the input, before beta", ge=0, le=1)
    beta: float = param(0.5, "how fast that bound falls from layer to layer", ge=0)

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Repaired:
        masked = MaskedNorms(model)
        self._learn(masked, clean.all(), rng)
        model.load_state_dict(masked.network.state_dict())
        layers = norm_layers(model)
        with torch.no_grad():
            for name, mask in masked.masks.items():
                layers[name].get_parameter("weight").mul_(mask)
        masks = {f"mask.{name}": values for name, values in masked.values().items()}
        return Repaired(model.eval(), tensors=masks)

    def _learn(self, masked: MaskedNorms, images: ImageSet, rng: torch.Generator) -> None:
        """Step 2."""
        draws, crops = fork(rng), fork(rng)
        machine = hardware(str(device_of(masked.network)))
        batches = Batches(images.images, images.labels, shift=self.shift, flip=self.flip)
        sgd = torch.optim.SGD(masked.masks.values(), lr=self.lr, momentum=self.momentum)
        weight = self.eta * images.num_classes / len(images)
        for step in track(range(self.steps), "NFT: learning masks"):
            sgd.param_groups[0]["lr"] = self.rate(step)
            drawn = torch.randint(0, len(images), (self.batch_size,), generator=draws)
            batch, labels = batches.take(drawn, crops)
            with machine.autocast(batch):
                loss = mixed_loss(masked, to_float(batch), labels, draws)
            descend(masked.masks, loss + weight * distance(masked.masks), sgd)
            self.bound(masked.masks)

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        stage = step * STAGES // self.steps
        fall = 0.5 * (1 + math.cos(math.pi * stage / STAGES))
        return self.last_lr + (self.lr - self.last_lr) * fall

    @torch.no_grad()
    def bound(self, masks: dict[str, Tensor]) -> None:
        """Raise masks (C,), layer by layer in order, to their lower bounds."""
        for place, mask in enumerate(masks.values(), start=1):
            mask.clamp_(min=self.alpha * math.exp(-self.beta * place))


def mixed_loss(model: nn.Module, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
    """The cross-entropy of MixUp (Zhang et al., ICLR 2018, 1710.09412) of images (B, C, H, W) in
    [0, 1] and labels (B,), with one share for the batch.
    """
    share = float(torch.rand((), generator=rng))
    other = torch.randperm(len(images), generator=rng).to(images.device)
    logits = model(share * images + (1 - share) * images[other]).float()
    own, mixed_in = F.cross_entropy(logits, labels), F.cross_entropy(logits, labels[other])
    return share * own + (1 - share) * mixed_in


def distance(masks: dict[str, Tensor]) -> Tensor:
    """sum |1 - m| over all masks."""
    return torch.stack([(1 - mask).abs().sum() for mask in masks.values()]).sum()
