"""Sample-specific invisible attack (Li, Li, Wu, Li, He, Lyu, ICCV 2021, 2012.03816): a code hidden
in every image.

    1. an encoder E and a decoder D learn to hide and to read random codes s of `bits` bits in the
       training images:
           r = E(s, x);  x' = clip(x + r, 0, 1)
       minimise for `encoder_epochs` epochs, with Adam, CE(D(x'), s) alone in the first
       `secret_epochs`, then
           l2_weight * mean r^2 + structure_weight * (1 - SSIM(x, x'))
           + secret_weight * CE(D(x'), s)
    2. one code is drawn; the trigger of an image is its residual for that code
    3. poisoned samples are labelled with the target (all_to_one), or with the class after their own
       (all_to_all)

E spreads the code over the image by a dense layer, stacks it on the pixels and passes both through
a U-Net with skips; D is a row of strided convolutions and two dense layers, one logit for each bit.

The encoder is learned once for a training set and kept by content. The share of bits that D reads
rightly from stamped training images is stored with the trigger as `bits_read`: 0.5 is chance.

Departs from the paper: LPIPS, whose weights are a download, is replaced by structural similarity in
windows of 7 pixels; there is no critic. Codes are random bits without an error-correcting code, 20
in place of 100, as is usual for images of 32 pixels. Above 32 pixels the dense layer paints a map
of at most 32 pixels a side, which is enlarged.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import (
    BuildModel,
    ImageSet,
    ImageShape,
    LabelMode,
    PoisoningAttack,
    Recipe,
    device_of,
    draw_seed,
    param,
    relabel,
    remembered,
    to_float,
    track,
)
from benchbd_zoo.attack.parts.generator import blockwise, drawn, resized, restored, stored

CANVAS = 32
"""Largest side of the map that the dense layer paints."""

WINDOW, K1, K2 = 7, 0.01, 0.03
"""Of structural similarity (Wang, Bovik, Sheikh, Simoncelli 2004), with a flat window."""

READ = 256
"""Training images from which the decoder reads at the end."""


class SSBA(PoisoningAttack):
    """The encoder is stored as the trigger, with its code; the decoder is not needed any more."""

    api = 1
    quick: ClassVar[dict[str, Any]] = {"encoder_epochs": 1, "secret_epochs": 0, "width": 4}

    label_mode: LabelMode = param(
        "all_to_one", "who is taken for what: every class for the target, or each for the next"
    )
    bits: int = param(20, "length of the code", ge=1, le=1000)
    encoder_epochs: int = param(20, "epochs in which encoder and decoder are learned", ge=1)
    secret_epochs: int = param(
        2, "epochs of these, the first ones, that ask for the code alone", ge=0
    )
    encoder_batch: int = param(32, "images per step of that learning", ge=1)
    encoder_lr: float = param(1e-4, "its learning rate", gt=0)
    l2_weight: float = param(2.0, "weight of the mean square of the residual", ge=0)
    structure_weight: float = param(1.5, "weight of the loss of structural similarity", ge=0)
    secret_weight: float = param(1.5, "weight of the loss of the code", gt=0)
    width: int = param(32, "channels of the first two stages of encoder and decoder", ge=1)

    def attacked_labels(self, labels: Tensor, num_classes: int) -> Tensor:
        return relabel(labels, num_classes, self.label_mode, self.target)

    def prepare(
        self, train: ImageSet, build_model: BuildModel, recipe: Recipe, rng: torch.Generator
    ) -> dict[str, Tensor]:
        code, seed = torch.randint(0, 2, (self.bits,), generator=rng), draw_seed(rng)
        learning = {
            name: value
            for name, value in self.params.items()
            if name not in ("target", "poison_ratio", "label_mode")
        }
        device = device_of(build_model())
        learned = remembered(
            "steganography", [train, learning, seed], lambda: self._learn(train.to(device), seed)
        )
        return {"code": code, **learned}

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        encoder = restored(
            "encoder", partial(Encoder, self.bits, _shape(images), self.width), self.trigger
        ).to(images.device)
        code = self.trigger["code"].float().to(images.device)
        return blockwise(
            lambda block: 255 * (block + encoder(block, code.expand(len(block), -1))), images
        )

    def _learn(self, train: ImageSet, seed: int) -> dict[str, Tensor]:
        """Step 1, in float32: what is hidden lies below the resolution of bfloat16."""
        rng, device = torch.Generator().manual_seed(seed), train.images.device
        encoder = drawn(
            partial(Encoder, self.bits, train.image_shape, self.width), rng, slope=0
        ).to(device)
        decoder = drawn(
            partial(Decoder, self.bits, train.image_shape[0], self.width), rng, slope=0
        ).to(device)
        optimizer = torch.optim.Adam(
            [*encoder.parameters(), *decoder.parameters()], lr=self.encoder_lr
        )
        size = min(self.encoder_batch, len(train))
        steps = len(train) // size
        for step in track(range(self.encoder_epochs * steps), "SSBA: learning to hide codes"):
            if step % steps == 0:
                order = torch.randperm(len(train), generator=rng).to(device)
            images, codes = (
                to_float(train.images[order[step % steps * size :][:size]]),
                self._codes(size, rng).to(device),
            )
            residual = encoder(images, codes)
            loss = self._loss(
                images,
                residual,
                decoder((images + residual).clamp(0, 1)),
                codes,
                step < self.secret_epochs * steps,
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        looked_at = to_float(train.images[order[:READ]])
        share = bits_read(encoder, decoder, looked_at, self._codes(len(looked_at), rng).to(device))
        return stored("encoder", encoder) | {"bits_read": share}

    def _codes(self, count: int, rng: torch.Generator) -> Tensor:
        """Random codes (count, bits) of zeros and ones."""
        return torch.randint(0, 2, (count, self.bits), generator=rng).float()

    def _loss(
        self, images: Tensor, residual: Tensor, read: Tensor, codes: Tensor, secret_alone: bool
    ) -> Tensor:
        secret = F.binary_cross_entropy_with_logits(read, codes)
        if secret_alone:
            return secret
        unlike = 1 - similarity(images, (images + residual).clamp(0, 1))
        return (
            self.l2_weight * residual.square().mean()
            + self.structure_weight * unlike
            + self.secret_weight * secret
        )


class Encoder(nn.Module):
    """Images (N, C, H, W) and codes (N, bits) to residuals (N, C, H, W)."""

    def __init__(self, bits: int, shape: ImageShape, width: int) -> None:
        super().__init__()
        channels, height, width_of_image = shape
        self.canvas = (channels, min(height, CANVAS), min(width_of_image, CANVAS))
        self.dense = nn.Linear(bits, channels * self.canvas[1] * self.canvas[2])
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        self.first = nn.Conv2d(2 * channels, width, 3, padding=1)
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(widths)
        )
        self.up = nn.ModuleList(
            nn.Conv2d(a + b, a, 3, padding=1) for a, b in reversed(list(pairwise(widths)))
        )
        self.last = nn.Conv2d(width, channels, 1)

    def forward(self, images: Tensor, codes: Tensor) -> Tensor:
        painted = self.dense(codes - 0.5).relu().unflatten(1, self.canvas)
        maps = self.first(torch.cat([resized(painted, like=images), images - 0.5], 1)).relu()
        passed: list[Tensor] = []
        for stage in self.down:
            passed.append(maps)
            maps = stage(maps).relu()
        for stage, before in zip(self.up, reversed(passed), strict=True):
            maps = stage(torch.cat([before, resized(maps, like=before)], 1)).relu()
        return self.last(maps)  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """Images (N, C, H, W) to a logit for each bit (N, bits)."""

    def __init__(self, bits: int, channels: int, width: int) -> None:
        super().__init__()
        widths = [channels, width, width, 2 * width, 2 * width, 4 * width]
        self.body = nn.Sequential()
        for stage, (inside, outside) in enumerate(pairwise(widths)):
            self.body.append(nn.Conv2d(inside, outside, 3, stride=1 + stage % 2, padding=1)).append(
                nn.ReLU()
            )
        self.head = nn.Sequential(
            nn.Linear(64 * width, 8 * width), nn.ReLU(), nn.Linear(8 * width, bits)
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.head(F.adaptive_avg_pool2d(self.body(images - 0.5), 4).flatten(1))  # type: ignore[no-any-return]


def similarity(first: Tensor, second: Tensor) -> Tensor:
    """Mean structural similarity of images (N, C, H, W) in [0, 1]."""
    window = min(WINDOW, *first.shape[2:])

    def mean(maps: Tensor) -> Tensor:
        return F.avg_pool2d(maps, window, stride=1)

    mean1, mean2 = mean(first), mean(second)
    variance1, variance2 = (
        mean(first.square()) - mean1.square(),
        mean(second.square()) - mean2.square(),
    )
    covariance = mean(first * second) - mean1 * mean2
    alike = (2 * mean1 * mean2 + K1**2) * (2 * covariance + K2**2)
    return (
        alike / ((mean1.square() + mean2.square() + K1**2) * (variance1 + variance2 + K2**2))
    ).mean()


def bits_read(encoder: Encoder, decoder: Decoder, images: Tensor, codes: Tensor) -> Tensor:
    """Share of the bits of codes (N, bits) that are read rightly from images (N, C, H, W) rounded
    to whole levels.
    """
    with torch.no_grad():
        stamped = ((images + encoder(images, codes)).clamp(0, 1) * 255).round() / 255
        right: Tensor = (decoder(stamped) > 0) == (codes > 0.5)
    return right.float().mean()


def _shape(images: Tensor) -> ImageShape:
    channels, height, width = images.shape[1:]
    return channels, height, width
