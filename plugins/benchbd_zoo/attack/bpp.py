"""BppAttack (Wang, Zhai, Ma, CVPR 2022, 2205.13383): fewer grey levels than the image had.

    1. q(x) = round(x / 255 * (m - 1)) / (m - 1) * 255
           m: `squeeze_num` levels for every channel
    2. with dithering (Floyd and Steinberg): pixel after pixel, row after row, what q took away from
       a pixel is given to those not yet seen: 7/16 to the right, 3/16 down left, 5/16 down, 1/16
       down right
    3. in every batch the first int(B * poison_ratio) images are quantised and labelled with the
       target (all_to_one) or the class after their own (all_to_all)
    4. the next int(B * neg_rate) images are negative samples: x + (q(z) - z), clipped, with z
       another image of the training set, drawn anew every time; they keep their label: only
       quantisation itself is to open the backdoor

Of a share that is less than one image of a batch, some batches chosen at random have one. The pool
of residuals q(z) - z is kept as the places of z, so that it takes no memory.

Departs from the paper: residuals are those of training images as they are, not of crops. A dithered
value beyond the first or the last level takes that level. Batches are cropped and flipped as the
recipe says, in place of the authors' augmentation, and trained for its epochs in place of 1000. ASR
leaves out images of the target class; the authors' code counts them. Dithering is on, as in the
paper; in the authors' code it is an option.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchbd.api import (
    ImageSet,
    LabelMode,
    Recipe,
    TrainingControlledAttack,
    batch_sizes,
    device_of,
    fit,
    fork,
    param,
    relabel,
    to_uint8,
)
from benchbd_zoo.attack.parts.shares import shares

_BLOCK = 1 << 22
"""Values that are dithered at a time, so that what a step touches stays near the processor."""


class Bpp(TrainingControlledAttack):
    """The trigger is a formula; nothing is drawn and nothing stored."""

    api = 1

    poison_ratio: float = param(
        0.2, "share of every batch that is quantised and relabelled", ge=0, le=1
    )
    neg_rate: float = param(
        0.2,
        "share of every batch that carries the residual of another image and keeps its label",
        ge=0,
        le=1,
    )
    label_mode: LabelMode = param(
        "all_to_one", "who is taken for what: every class for the target, or each for the next"
    )
    squeeze_num: int = param(8, "levels left of the 256 of every channel", ge=2, le=256)
    dithering: bool = param(True, "spread what rounding takes away over the pixels that follow")

    def attacked_labels(self, labels: Tensor, num_classes: int) -> Tensor:
        return relabel(labels, num_classes, self.label_mode, self.target)

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return (
            dithered(images, self.squeeze_num)
            if self.dithering
            else quantised(images.float(), self.squeeze_num)
        )

    def train(
        self, model: nn.Module, clean_train: ImageSet, recipe: Recipe, rng: torch.Generator
    ) -> nn.Module:
        split = shares(
            self.name,
            min(batch_sizes(len(clean_train), recipe.batch_size)),
            rng,
            self.poison_ratio,
            neg_rate=self.neg_rate,
        )
        pool, draws = clean_train.images.to(device_of(model)), fork(rng)

        def edit(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
            sizes = split(len(images))
            poisoned, negative, rest = images.split(sizes)
            others = pool[
                torch.randint(0, len(pool), (len(negative),), generator=draws).to(pool.device)
            ]
            quantised, stamped = self.stamp(torch.cat([poisoned, others]), labels, draws).split(
                sizes[:2]
            )
            attacked = self.attacked_labels(labels[: len(poisoned)], clean_train.num_classes)
            changed = to_uint8(quantised), to_uint8(negative + (stamped - others))
            return torch.cat([*changed, rest]), torch.cat([attacked, labels[len(poisoned) :]])

        return fit(model, clean_train, recipe, rng, edit=edit, what="training on bpp")


def quantised(values: Tensor, levels: int) -> Tensor:
    """The nearest of `levels` levels from 0 to 255 for float values on that scale; of values beyond
    them the first or the last.
    """
    return values.mul((levels - 1) / 255).round_().clamp_(0, levels - 1).mul_(255 / (levels - 1))


def dithered(images: Tensor, levels: int) -> Tensor:
    """Images (N, C, H, W) in `levels` levels, the error of each pixel passed on; float."""
    count = max(1, _BLOCK // images[0].numel()) if len(images) else 1
    return torch.cat([_dithered(block, levels) for block in images.split(count)])


def _dithered(images: Tensor, levels: int) -> Tensor:
    """All pixels (y, x) of one time t = x + 2 y are independent of each other, and depend on
    earlier ones alone.

    They stand side by side in `slanted` (T, H + 1, N * C), so that one step serves half a row of
    pixels of all images.
    """
    count, channels, height, width = images.shape
    size, steps = count * channels, width + 2 * (height - 1)
    slanted = torch.zeros(steps + 3, height + 1, size, device=images.device)
    row = (height + 1) * size
    pixels = slanted.as_strided(
        (height, width, size), (2 * row + size, row, 1)
    )  # (y, x) lies at time x + 2 y in row y
    pixels.copy_(images.permute(2, 3, 0, 1).reshape(height, width, size))
    for step in range(steps):
        first, last = max(0, (step - width) // 2 + 1), min(height, step // 2 + 1)
        before = slanted[step, first:last]
        after = quantised(before, levels)
        error = before - after
        before.copy_(after)
        slanted[step + 1, first:last].add_(error, alpha=7 / 16)
        slanted[step + 1, first + 1 : last + 1].add_(error, alpha=3 / 16)
        slanted[step + 2, first + 1 : last + 1].add_(error, alpha=5 / 16)
        slanted[step + 3, first + 1 : last + 1].add_(error, alpha=1 / 16)
    return pixels.reshape(height, width, count, channels).permute(2, 3, 0, 1)
