"""Input-aware dynamic attack (Nguyen and Tran, NeurIPS 2020, 2010.08138): every image has a trigger
of its own.

    mask m(x) (1 channel) and pattern p(x) (C channels): two convolutional networks with
    tanh(.) / 2 + 1/2 at their end; the mask is hardened by tanh(20 m - 10) / 2 + 1/2
    B(x; z) = x + (p(z) - x) * m(z)
    d(a, b) = root mean square of a - b over channels and pixels

    1. `mask_epochs` over pairs of batches x, z: minimise
           lambda_norm * mean relu(m(x) - mask_density)
           + lambda_div * mean d(x, z) / (d(m(x), m(z)) + eps)
       the mask network is frozen afterwards
    2. for the epochs of the recipe, in every batch: the first int(B * poison_ratio) images become
       B(x; x) with the label of the target (all_to_one) or the class after their own (all_to_all);
       the next int(B * p_cross) become B(x; z) with their own label, z other images; the classifier
       and the pattern network descend together on
           CE(all) + lambda_div * mean d(x, z) / (d(p(x), p(z)) + eps)
       over pairs of a poisoned image and the z of a cross sample

Of a share that is less than one image of a batch, some batches chosen at random have one. Where
poisoned and cross samples differ in number, as many pairs count as there are of the fewer; without
a pair the second part of the loss is left out. The classifier is trained by the recipe,
the networks by Adam (betas 0.5 and 0.9), whose learning rate falls to a tenth at 10/25 and 20/25 of
the first phase and at 1/3, 1/2, 2/3 and 5/6 of the second.

Departs from the paper: the gradients of the pattern network are zeroed at every step; the authors'
code never does, so that they add up over the whole run. Triggers are drawn on cropped and flipped
images, and pixels are on the scale of [0, 1]. The recipe's epochs take the place of 600. The
networks have two stages below 32 pixels, and three from there on. ASR leaves out images of the
target class; the authors' code counts them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import (
    Batches,
    ImageSet,
    LabelMode,
    Recipe,
    Trained,
    TrainingControlledAttack,
    batch_sizes,
    device_of,
    fit,
    fork,
    hardware,
    param,
    relabel,
    to_float,
    track,
)
from benchbd_zoo.attack.parts.generator import (
    ConvBlock,
    blockwise,
    drawn,
    resized,
    restored,
    stored,
)
from benchbd_zoo.attack.parts.shares import shares

EPSILON = 1e-7
MASK_DROPS, PATTERN_DROPS = (10 / 25, 20 / 25), (1 / 3, 1 / 2, 2 / 3, 5 / 6)
"""Where along a phase the learning rate falls to a tenth."""


class InputAware(TrainingControlledAttack):
    """Both networks are stored as the trigger, as tensors."""

    api = 1
    learns_trigger = True
    quick: ClassVar[dict[str, Any]] = {"mask_epochs": 1, "width": 4}

    poison_ratio: float = param(
        0.1, "share of every batch that is triggered and relabelled", ge=0, le=1
    )
    p_cross: float = param(
        0.1,
        "share of every batch that carries the trigger of another image and keeps its label",
        gt=0,
        le=1,
    )
    label_mode: LabelMode = param(
        "all_to_one", "who is taken for what: every class for the target, or each for the next"
    )
    mask_density: float = param(0.032, "what a pixel of the mask may be without cost", ge=0, le=1)
    lambda_div: float = param(
        1.0, "weight of the losses that ask for a trigger of its own for every image", ge=0
    )
    lambda_norm: float = param(100.0, "weight of the loss that asks for a small mask", ge=0)
    mask_epochs: int = param(25, "epochs of the first phase", ge=1)
    mask_lr: float = param(0.01, "learning rate of the mask network", gt=0)
    pattern_lr: float = param(0.01, "learning rate of the pattern network", gt=0)
    width: int | None = param(
        None,
        "channels of the first stage of both networks; unset: 16 below 32 pixels, else 32",
        ge=1,
    )

    def attacked_labels(self, labels: Tensor, num_classes: int) -> Tensor:
        return relabel(labels, num_classes, self.label_mode, self.target)

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        channels, height, width = images.shape[1:]
        mask, pattern = (
            restored(
                name, partial(self._network, channels, outside, min(height, width)), self.trigger
            ).to(images.device)
            for name, outside in (("mask", 1), ("pattern", channels))
        )
        return blockwise(
            lambda block: 255 * mixed(block, hardened(mask(block)), pattern(block)), images
        )

    def train(
        self, model: nn.Module, clean_train: ImageSet, recipe: Recipe, rng: torch.Generator
    ) -> Trained:
        sizes = batch_sizes(len(clean_train), recipe.batch_size)
        split = shares(
            self.name,
            min(sizes),
            rng,
            self.poison_ratio,
            p_cross=self.p_cross,
        )
        clean, (channels, height, width) = clean_train.to(device_of(model)), clean_train.image_shape
        mask, pattern = (
            drawn(partial(self._network, channels, outside, min(height, width)), rng).to(
                device_of(model)
            )
            for outside in (1, channels)
        )
        self._learn_mask(mask, clean, recipe, rng)
        loss = self._loss(mask, pattern.train(), split, clean, recipe, rng)
        optimizer, schedule = _adam(
            pattern, self.pattern_lr, PATTERN_DROPS, recipe.epochs * len(sizes)
        )

        def step(_: nn.Module) -> None:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()

        fit(
            model,
            clean_train,
            recipe,
            rng,
            loss=loss,
            after_step=step,
            what="training on input_aware",
        )
        return Trained(model, stored("mask", mask) | stored("pattern", pattern))

    def _learn_mask(
        self, mask: nn.Module, clean: ImageSet, recipe: Recipe, rng: torch.Generator
    ) -> None:
        """Phase 1; the mask network is in eval mode afterwards."""
        first, second = stream(clean, recipe, rng), stream(clean, recipe, rng)
        size = min(recipe.batch_size, len(clean))
        machine, steps = (
            hardware(str(device_of(mask)), recipe.precision),
            self.mask_epochs * (len(clean) // size),
        )
        optimizer, schedule = _adam(mask.train(), self.mask_lr, MASK_DROPS, steps)
        for _ in track(range(steps), "input_aware: learning masks"):
            x, z = first(size), second(size)
            with machine.autocast(x):
                of_x, of_z = hardened(mask(torch.cat([x, z]))).chunk(2)
            optimizer.zero_grad(set_to_none=True)
            self._mask_loss(x, z, of_x, of_z).backward()
            optimizer.step()
            schedule.step()
        mask.eval().requires_grad_(False)

    def _mask_loss(self, x: Tensor, z: Tensor, of_x: Tensor, of_z: Tensor) -> Tensor:
        """Step 1, of images (B, C, H, W) and their hardened masks (B, 1, H, W)."""
        return self.lambda_norm * F.relu(
            of_x - self.mask_density
        ).mean() + self.lambda_div * diversity(x, z, of_x, of_z)

    def _loss(
        self,
        mask: nn.Module,
        pattern: nn.Module,
        split: Callable[[int], list[int]],
        clean: ImageSet,
        recipe: Recipe,
        rng: torch.Generator,
    ) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
        """Step 2: what the classifier and the pattern network descend."""
        others = stream(clean, recipe, rng)

        def entropy(found: Tensor, given: Tensor) -> Tensor:
            return F.cross_entropy(found.float(), given, label_smoothing=recipe.label_smoothing)

        def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
            count, cross, _ = split(len(images))
            changing, pairs = count + cross, min(count, cross)
            if not changing:
                return entropy(model(images), labels)
            z = others(cross)
            sources = torch.cat([images[:count], z])
            patterns = pattern(sources).float()
            changed = mixed(images[:changing], hardened(mask(sources)), patterns)
            given = torch.cat(
                [self.attacked_labels(labels[:count], clean.num_classes), labels[count:]]
            )
            value = entropy(model(torch.cat([changed, images[changing:]])), given)
            if not pairs:
                return value
            apart = diversity(
                images[:pairs], z[:pairs], patterns[:pairs], patterns[count : count + pairs]
            )
            return value + self.lambda_div * apart

        return loss

    def _network(self, channels: int, outside: int, side: int) -> nn.Module:
        stages, width = (2, 16) if side < 32 else (3, 32)
        return Drawing(channels, outside, self.width or width, stages)


class Drawing(nn.Module):
    """Images (N, C, H, W) to maps (N, outside, H, W) in (0, 1): down and up again through a narrow
    middle, nothing past it.
    """

    def __init__(self, channels: int, outside: int, width: int, stages: int) -> None:
        super().__init__()
        block = partial(ConvBlock, momentum=0.05)
        widths = [channels, *(width * 2**stage for stage in range(stages))]
        self.down = nn.ModuleList(
            nn.Sequential(block(a, b), block(b, b)) for a, b in pairwise(widths)
        )
        self.middle = block(widths[-1], widths[-1])
        back = [*widths[:0:-1], outside]
        last = [True] * (stages - 1) + [False]
        self.up = nn.ModuleList(
            nn.Sequential(block(a, a), block(a, b, relu=relu))
            for (a, b), relu in zip(pairwise(back), last, strict=True)
        )

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = images
        passed: list[Tensor] = []
        for stage in self.down:
            passed.append(stage(maps))
            maps = F.max_pool2d(passed[-1], 2)
        maps = self.middle(maps)
        for stage, before in zip(self.up, reversed(passed), strict=True):
            maps = stage(resized(maps, like=before))
        return maps.float().tanh() / (2 + EPSILON) + 0.5


def hardened(mask: Tensor) -> Tensor:
    """A mask in [0, 1] nearly all of whose pixels are near 0 or 1."""
    return (20 * mask.float() - 10).tanh() / (2 + EPSILON) + 0.5


def mixed(images: Tensor, mask: Tensor, pattern: Tensor) -> Tensor:
    """B: the pattern (N, C, H, W) where the mask (N, 1, H, W) is 1, the image where it is 0."""
    return images + (pattern - images) * mask


def diversity(x: Tensor, z: Tensor, of_x: Tensor, of_z: Tensor) -> Tensor:
    """Mean over pairs of d(x, z) / (d(of_x, of_z) + eps); large when different images get the same
    maps.
    """
    return (_distance(x, z) / (_distance(of_x, of_z) + EPSILON)).mean()


def _distance(first: Tensor, second: Tensor) -> Tensor:
    """d (N,): never quite 0, where the root has no slope."""
    return ((first.float() - second.float()).square().mean((1, 2, 3)) + EPSILON**2).sqrt()


def stream(clean: ImageSet, recipe: Recipe, rng: torch.Generator) -> Callable[[int], Tensor]:
    """Gives batches (count, C, H, W) in [0, 1] of different images, cropped and flipped by the
    recipe, by draws of its own.
    """
    batches = Batches(clean.images, clean.labels, shift=recipe.shift, flip=recipe.flip)
    order, crops = fork(rng), fork(rng)

    def take(count: int) -> Tensor:
        return to_float(batches.take(torch.randperm(len(clean), generator=order)[:count], crops)[0])

    return take


def _adam(
    network: nn.Module, lr: float, drops: tuple[float, ...], steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Adam whose learning rate falls to a tenth at every share of the steps in `drops`."""
    optimizer = torch.optim.Adam(network.parameters(), lr=lr, betas=(0.5, 0.9))
    return optimizer, torch.optim.lr_scheduler.MultiStepLR(
        optimizer, [round(drop * steps) for drop in drops], gamma=0.1
    )
