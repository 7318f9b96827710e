"""D-BR (Chen, Wu and Wang, NeurIPS 2022, "Effective Backdoor Defense by Exploiting Sensitivity of
Poisoned Samples").

A network sees a poisoned image differently once it is turned and moved, for its trigger is no
longer where it was.

    sample distinguishment
    1. train `sd_epochs` without augmentation, at the rate `sd_lr`
    2. train `intra_epochs` with L_intra = mean over all pairs of classes in the batch of cos(c_j,
       c_k), 0 for j = k, c the mean of a class's features
    3. FCT(x) = mean over the features of (f(x) - f(tau(x)))^2
       tau: a rotation by up to 180 degrees, then a shift by up to a fifth of the image, nearest
       pixel, black outside
    4. the share `clean_ratio` of lowest FCT is held to be clean, the share `poison_ratio` of
       highest among the others poison

    backdoor removal
    5. a backdoored model, trained by the recipe on all images
    6. `epochs` times: ascend the CE of the poison once through, then descend that of the clean
       samples (`lr`)

Both ratios are assumptions. Suspicion is FCT.

Departs from the paper: the optimizer is the recipe's, in step 6 its crops, too; so are the batches
of steps 1, 2 and 5. Step 6 has the paper's number of steps: where the training set is smaller than
its 50,000 images, the clean and the poisoned part pass several times in a turn. The last
network is taken; reference code keeps that of the best test ACC minus ASR. A network that draws
classes apart at a high rate may end with features of zero, for which L_intra is as low as for
orthogonal ones; hence a rate of its own, that of the authors' code.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import (
    Batches,
    BuildModel,
    ImageSet,
    Learned,
    Recipe,
    RobustTraining,
    Suspicion,
    device_of,
    features,
    fit,
    fork,
    hardware,
    param,
    to_float,
    to_uint8,
    track,
)
from benchbd_zoo.defense.parts.isolation import ascent, boundary, descent, lowest
from benchbd_zoo.defense.parts.tuning import epoch_of

CHUNK = 1024
"""Images that are turned at a time."""


class DBR(RobustTraining):
    """`clean_ratio`, `poison_ratio`, `epochs` and `lr` carry the names of the reference
    implementation.
    """

    api = 1
    results_version = 2
    quick: ClassVar[dict[str, Any]] = {"epoch_images": 1}

    sd_lr: float = param(0.01, "learning rate of the distinguishing network", gt=0)
    sd_epochs: int = param(2, "epochs of the distinguishing network on labels", ge=1)
    intra_epochs: int = param(10, "epochs that draw its classes apart", ge=0)
    clean_ratio: float = param(
        0.20, "share of the training set that is held to be clean", gt=0, lt=1
    )
    poison_ratio: float = param(
        0.05, "share of the training set that is held to be poison", gt=0, lt=1
    )
    epochs: int = param(20, "turns of unlearning and relearning", ge=0)
    lr: float = param(1e-4, "learning rate of these turns", gt=0)
    batch_size: int = param(128, "images per step of these turns", ge=1)
    epoch_images: int = param(
        50_000,
        "training images in the paper; both parts of fewer pass several times in a turn",
        ge=1,
    )

    def train(
        self, build_model: BuildModel, train_as_seen: ImageSet, recipe: Recipe, rng: torch.Generator
    ) -> Learned:
        fct = self._sensitivity(build_model(), train_as_seen, recipe, rng)
        clean = lowest(fct, self.clean_ratio)
        poison = lowest((-fct).masked_fill(clean, math.inf), self.poison_ratio)
        suspicion = Suspicion(fct, boundary(fct, poison))
        model = fit(build_model(), train_as_seen, recipe, rng, what="D-BR: the backdoored model")
        good, bad = (
            epoch_of(
                train_as_seen.subset(torch.nonzero(part)[:, 0]), round(ratio * self.epoch_images)
            )
            for part, ratio in ((clean, self.clean_ratio), (poison, self.poison_ratio))
        )
        self._remove(model, bad, good, recipe.model_copy(update={"lr": self.lr}), rng)
        return Learned(model.eval(), suspicion, {"FCT of the clean part": float(fct[clean].mean())})

    def _sensitivity(
        self, model: nn.Module, train: ImageSet, recipe: Recipe, rng: torch.Generator
    ) -> Tensor:
        """Steps 1 to 3: FCT (N,)."""
        steady = {
            "lr": self.sd_lr,
            "schedule": "constant",
            "horizon": None,
            "shift": 0,
            "flip": False,
        }
        labels, apart = (
            recipe.model_copy(update=steady | {"epochs": epochs})
            for epochs in (self.sd_epochs, self.intra_epochs)
        )
        fit(model, train, labels, rng, what="D-BR: distinguishing network")
        fit(model, train, apart, rng, loss=intra_loss, what="D-BR: drawing classes apart")
        return consistency(model, train.images, fork(rng))

    def _remove(
        self, model: nn.Module, bad: ImageSet, good: ImageSet, recipe: Recipe, rng: torch.Generator
    ) -> None:
        """Step 6, with one optimizer, whose momentum goes on from turn to turn, and with batches
        that are not full.
        """
        machine, order, crops = (
            hardware(str(device_of(model)), recipe.precision),
            fork(rng),
            fork(rng),
        )
        optimizer = recipe.build_optimizer(model.parameters())
        feeds = [
            (
                loss,
                Batches(
                    part.images.to(machine.device),
                    part.labels.to(machine.device),
                    shift=recipe.shift,
                    flip=recipe.flip,
                ),
            )
            for loss, part in ((ascent, bad), (descent, good))
        ]
        model.train()
        for _ in track(range(self.epochs), "D-BR: unlearning and relearning"):
            for loss, feed in feeds:
                for chosen in torch.randperm(feed.count, generator=order).split(self.batch_size):
                    images, labels = feed.take(chosen, crops)
                    optimizer.zero_grad()
                    with machine.autocast(images):
                        value = loss(model, to_float(images), labels)
                    value.backward()
                    optimizer.step()


def intra_loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Mean cosine between the mean features of the classes in the batch, over all pairs (j, k), 0
    for j = k.
    """
    latent = model.features(images).float()  # type: ignore[operator]
    members = F.one_hot(labels.unique(return_inverse=True)[1]).float()
    centres = F.normalize((members.T @ latent) / members.sum(0)[:, None])
    return (centres @ centres.T).fill_diagonal_(0).mean()


def consistency(model: nn.Module, images: Tensor, rng: torch.Generator) -> Tensor:
    """FCT (N,) of uint8 images (N, C, H, W)."""
    angles = (2 * torch.rand(len(images), generator=rng) - 1) * math.pi
    shifts = (2 * torch.rand(len(images), 2, generator=rng) - 1) * 0.2
    parts = []
    for batch, angle, shift in zip(
        images.split(CHUNK), angles.split(CHUNK), shifts.split(CHUNK), strict=True
    ):
        moved = shifted(turned(batch, angle), shift)
        seen, seen_moved = (
            features(model, each, precision="fp32") for each in (batch, moved)
        )  # in bf16 many would be equal
        parts.append((seen - seen_moved).double().square().mean(1))
    return torch.cat(parts)


def turned(images: Tensor, angles: Tensor) -> Tensor:
    """uint8 images (N, C, H, W), each turned by its angle (N,), in radians."""
    height, width = images.shape[2:]
    cos, sin, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    rows = [
        torch.stack([cos, -sin * height / width, zero], 1),
        torch.stack([sin * width / height, cos, zero], 1),
    ]
    return _sampled(images, torch.stack(rows, 1))


def shifted(images: Tensor, shifts: Tensor) -> Tensor:
    """uint8 images (N, C, H, W), each moved right and down by its shares (N, 2) of width and
    height, in whole pixels.
    """
    size = torch.tensor([images.shape[3], images.shape[2]])
    pixels = (shifts * size).round()
    theta = torch.eye(2, 3).repeat(len(images), 1, 1)
    theta[:, :, 2] = -2 * pixels / size
    return _sampled(images, theta)


def _sampled(images: Tensor, theta: Tensor) -> Tensor:
    """The pixel (N, C, H, W) that lies nearest to where `theta` (N, 2, 3) points; black outside."""
    grid = F.affine_grid(theta.to(images.device), list(images.shape), align_corners=False)
    return to_uint8(
        F.grid_sample(
            images.float(), grid, mode="nearest", padding_mode="zeros", align_corners=False
        )
    )
