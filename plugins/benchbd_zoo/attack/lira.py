"""LIRA (Doan, Lao, Zhao, Li, ICCV 2021): noise that a network has learned to draw, another one for
every image.

    T(x) in [-1, 1]: an autoencoder or a U-Net, with tanh at its end;  eta(y): the attacked label;
    x' = clip(x + eps * T(x), 0, 1)

    1. for `trigger_epochs` epochs, with a classifier f that is thrown away afterwards, in every
       batch
       (i)  the new T' descends CE(f(x + eps * T'(x)), eta(y)), by Adam
       (ii) f descends alpha * CE(f(x), y) + (1 - alpha) * CE(f(x + eps * T(x)), eta(y)), T as it
            was when the epoch began
       and after every epoch T <- T'
    2. T is frozen, and a fresh f is trained by the recipe on alpha * CE(clean) + (1 - alpha) *
       CE(triggered) with `test_eps` in place of eps, by which images are triggered at test time
       too; a batch is cropped and flipped first, and its copy gets the trigger then

int(B * poison_ratio) images of a batch are seen with the trigger as well in phase 2, by default all
of them; where that is less than one, some batches chosen at random have one, and the loss of the
others lacks its second part.

Departs from the paper: eps acts on pixels in [0, 1]; the authors' code adds to normalised images,
and 0.1 there is 0.025 of the range of a pixel of CIFAR-10, the default here. Triggered images are
clipped, and in phase 2 rounded to whole levels. Clean and triggered images pass through f together,
so that BatchNorm sees the mixture. The recipe's epochs take the place of 500, its optimizer and
schedule that of both phases. f goes on from epoch to epoch in phase 1. The default is an
autoencoder like the authors' one for GTSRB and Tiny ImageNet; theirs for CIFAR-10 is the U-Net,
which takes some 130 times the multiplications. Both enlarge bilinearly, corners not aligned, to the
size of the maps on the way down, so that they take images of any size. Batches are cropped and
flipped as the recipe says; the authors' code also rotates.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import (
    Batches,
    BuildModel,
    ImageSet,
    LabelMode,
    Recipe,
    TrainingControlledAttack,
    batch_sizes,
    device_of,
    draw_seed,
    fit,
    fork,
    hardware,
    param,
    relabel,
    remembered,
    to_float,
    to_uint8,
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

Generator = Literal["autoencoder", "unet"]


class LIRA(TrainingControlledAttack):
    """The network that draws the noise is learned before the victim is trained, kept by content,
    and stored as the trigger.
    """

    api = 1
    results_version = 2
    quick: ClassVar[dict[str, Any]] = {"trigger_epochs": 1}

    poison_ratio: float = param(
        1.0, "share of every batch that is seen with the trigger besides without", ge=0, le=1
    )
    label_mode: LabelMode = param(
        "all_to_one", "who is taken for what: every class for the target, or each for the next"
    )
    eps: float = param(
        0.025,
        "largest change of a pixel while the noise is learned, as a share of its range",
        gt=0,
        le=1,
    )
    test_eps: float | None = param(
        None, "the same when the victim is trained and attacked; unset: eps", gt=0, le=1
    )
    alpha: float = param(0.5, "weight of clean images in the loss of the classifier", ge=0, le=1)
    trigger_epochs: int = param(50, "epochs of the first phase", ge=1)
    lr_atk: float = param(1e-4, "learning rate of the network that draws the noise", gt=0)
    generator: Generator = param("autoencoder", "network that draws the noise")

    def attacked_labels(self, labels: Tensor, num_classes: int) -> Tensor:
        return relabel(labels, num_classes, self.label_mode, self.target)

    def prepare(
        self, train: ImageSet, build_model: BuildModel, recipe: Recipe, rng: torch.Generator
    ) -> dict[str, Tensor]:
        classifier, seed = build_model(), draw_seed(rng)
        learning = {
            name: value
            for name, value in self.params.items()
            if name not in ("poison_ratio", "test_eps")
        }
        depends_on = [train, classifier, recipe.params, learning, seed]
        return remembered(
            "lira",
            depends_on,
            lambda: self._learn(train.to(device_of(classifier)), classifier, recipe, seed),
        )

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return self._stamp(self._noise(images.device), images)

    def train(
        self, model: nn.Module, clean_train: ImageSet, recipe: Recipe, rng: torch.Generator
    ) -> nn.Module:
        smallest = min(batch_sizes(len(clean_train), recipe.batch_size))
        split = shares(self.name, smallest, rng, self.poison_ratio)
        noise = self._noise(device_of(model))

        def loss(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
            count, _ = split(len(images))
            if not count:
                return self.alpha * F.cross_entropy(
                    network(images).float(), labels, label_smoothing=recipe.label_smoothing
                )
            triggered = to_float(to_uint8(self._stamp(noise, to_uint8(255 * images[:count]))))
            attacked = self.attacked_labels(labels[:count], clean_train.num_classes)
            return self._mixture(
                network(torch.cat([images, triggered])),
                torch.cat([labels, attacked]),
                len(labels),
                recipe.label_smoothing,
            )

        return fit(model, clean_train, recipe, rng, loss=loss, what="training on lira")

    def _learn(
        self, train: ImageSet, classifier: nn.Module, recipe: Recipe, seed: int
    ) -> dict[str, Tensor]:
        """Phase 1."""
        rng, device = torch.Generator().manual_seed(seed), device_of(classifier)
        build = partial(GENERATORS[self.generator], train.image_shape[0])
        new = drawn(build, rng).to(device).train()
        old = copy.deepcopy(new).eval()
        adam, descent = (
            torch.optim.Adam(new.parameters(), lr=self.lr_atk),
            recipe.build_optimizer(classifier.parameters()),
        )
        machine = hardware(str(device), recipe.precision)
        steps = len(train) // min(recipe.batch_size, len(train))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            descent, recipe.factor(steps * self.trigger_epochs)
        )
        classifier.train()
        for step, (images, labels) in enumerate(self._batches(train, recipe, rng), start=1):
            attacked = self.attacked_labels(labels, train.num_classes)
            with machine.autocast(images):
                loss = F.cross_entropy(
                    classifier(disturbed(images, new, self.eps)).float(), attacked
                )
            _descend(adam, new, loss)
            with torch.no_grad(), machine.autocast(images):
                both = torch.cat([images, disturbed(images, old, self.eps)])
            with machine.autocast(both):
                loss = self._mixture(
                    classifier(both),
                    torch.cat([labels, attacked]),
                    len(labels),
                    recipe.label_smoothing,
                )
            _descend(descent, classifier, loss)
            schedule.step()
            if step % steps == 0:
                old.load_state_dict(new.state_dict())
        return stored("noise", old)

    def _batches(
        self, train: ImageSet, recipe: Recipe, rng: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Images in [0, 1], cropped and flipped by the recipe, and labels, for all epochs of phase
        1.
        """
        order, crops, size = fork(rng), fork(rng), min(recipe.batch_size, len(train))
        batches, steps = (
            Batches(train.images, train.labels, shift=recipe.shift, flip=recipe.flip),
            len(train) // size,
        )
        for step in track(range(self.trigger_epochs * steps), "LIRA: learning the noise"):
            if step % steps == 0:
                shuffled = torch.randperm(len(train), generator=order)
            images, labels = batches.take(shuffled[step % steps * size :][:size], crops)
            yield to_float(images), labels

    def _mixture(self, found: Tensor, labels: Tensor, clean: int, smoothing: float) -> Tensor:
        """The loss of logits (N, K), of which the first `clean` are those of clean images."""
        parts = zip(found.float().tensor_split([clean]), labels.tensor_split([clean]), strict=True)
        of_clean, of_triggered = (
            F.cross_entropy(part, given, label_smoothing=smoothing) for part, given in parts
        )
        return self.alpha * of_clean + (1 - self.alpha) * of_triggered

    def _noise(self, device: torch.device) -> nn.Module:
        build = partial(GENERATORS[self.generator], len(self.trigger["noise.last.weight"]))
        return restored("noise", build, self.trigger).to(device)

    def _stamp(self, noise: nn.Module, images: Tensor) -> Tensor:
        return blockwise(
            lambda block: 255 * disturbed(block, noise, self.test_eps or self.eps), images
        )


class Autoencoder(nn.Module):
    """T: images (N, C, H, W) in [0, 1] to noise (N, C, H, W) in [-1, 1]; four halvings and back."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = (channels, 16, 32, 64, 128)
        self.down = nn.ModuleList(ConvBlock(a, b, stride=2) for a, b in pairwise(widths))
        self.up = nn.ModuleList(ConvBlock(b, a) for a, b in reversed(list(pairwise(widths[1:]))))
        self.last = nn.Conv2d(widths[1], channels, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = images
        passed: list[Tensor] = []
        for stage in self.down:
            passed.append(maps)
            maps = stage(maps)
        for stage, before in zip([*self.up, self.last], reversed(passed), strict=True):
            maps = stage(resized(maps, like=before))
        return maps.float().tanh()


class UNet(nn.Module):
    """T: images (N, C, H, W) in [0, 1] to noise (N, C, H, W) in [-1, 1]; three halvings and back,
    where the maps on the way down are seen once more.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = (channels, 64, 128, 256, 512)
        self.down = nn.ModuleList(_twice(a, b) for a, b in pairwise(widths))
        self.up = nn.ModuleList(_twice(a + b, a) for a, b in reversed(list(pairwise(widths[1:]))))
        self.last = nn.Conv2d(widths[1], channels, 1)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = images
        passed: list[Tensor] = []
        for stage in self.down:
            maps = stage(F.avg_pool2d(maps, 2) if passed else maps)
            passed.append(maps)
        for stage, before in zip(self.up, reversed(passed[:-1]), strict=True):
            maps = stage(torch.cat([resized(maps, like=before), before], 1))
        noise: Tensor = self.norm(self.last(maps))
        return noise.float().tanh()


GENERATORS: dict[Generator, type[Autoencoder | UNet]] = {"autoencoder": Autoencoder, "unet": UNet}


def _twice(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(ConvBlock(inside, outside), ConvBlock(outside, outside))


def disturbed(images: Tensor, noise: nn.Module, eps: float) -> Tensor:
    """x' for images (N, C, H, W) in [0, 1]; the sum is taken in float32."""
    drawn_noise: Tensor = noise(images)
    return (images + eps * drawn_noise).clamp(0, 1)


def _descend(optimizer: torch.optim.Optimizer, network: nn.Module, loss: Tensor) -> None:
    """A step of `network` down the loss, which leaves no gradient on any other network."""
    weights = list(network.parameters())
    for weight, gradient in zip(
        weights, torch.autograd.grad(loss, weights, materialize_grads=True), strict=True
    ):
        weight.grad = gradient
    optimizer.step()
