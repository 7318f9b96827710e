"""Adap-Patch (Qi, Xie, Li, Mahloujifar, Mittal, ICLR 2023, "Revisiting the Assumption of Latent
Separability").

    1. four patches p_1..p_4 with masks m_1..m_4; a training image gets one of them, faintly, the
       images being divided equally among the four:     x' = x + opacity_i * m_i * (p_i - x)
    2. poisoned samples are labelled with the target; `cover_ratio` of the samples are stamped
       likewise and keep their label, so that poisoned samples do not stand apart in the features
    3. test images get two of the patches at once, opaque, the ring in both lower corners

Poisoned and cover samples are drawn from all classes, without overlap.

Departs from the paper: its patches are image files; these are computed, in the same places and of
the same sizes, which grow with the image: at 32x32 pixels a ring on a square of 25 pixels for the
phoenix (lower right corner), a moon on a disc of 140 for the fox (upper right, a pixel from the
edges), checkerboards of 9 in all four corners for the BadNets patch, and stripes on a square of 64
for the Trojan square (lower right, three pixels from the edges).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from benchbd.api import BuildModel, ConfigError, ImageSet, Recipe, param
from benchbd_zoo.attack.parts.cover import Covered
from benchbd_zoo.attack.parts.patch import checkerboard
from benchbd_zoo.attack.parts.picture import in_channels

PatchName = Literal["ring", "moon", "checkerboard", "stripes"]
NAMES: tuple[PatchName, ...] = get_args(PatchName)


class AdaptivePatch(Covered):
    """One faint patch in training, two opaque ones at test time; the rates are those of
    CIFAR-10.
    """

    api = 1
    results_version = 2
    quick: ClassVar[dict[str, Any]] = {"poison_ratio": 0.1, "cover_ratio": 0.1}

    poison_ratio: float = param(0.003, "share of the samples that are poisoned", ge=0, le=1)
    cover_ratio: float = param(
        0.006, "share of the samples that carry the trigger and keep their label", ge=0, le=1
    )
    eligible: Literal["non_target", "all", "target"] = param(
        "all", "which training samples may be poisoned, by their true label"
    )
    opacities: tuple[float, float, float, float] = param(
        (0.5, 0.2, 0.5, 0.3),
        "opacity of ring, moon, checkerboard and stripes in training images, from 0 to 1",
    )
    test_patches: tuple[PatchName, ...] = param(
        ("ring", "checkerboard"), "patches that a test image gets at once", min_length=1
    )
    test_opacity: float = param(1.0, "opacity of the patches in test images", ge=0, le=1)

    def prepare(
        self, train: ImageSet, build_model: BuildModel, recipe: Recipe, rng: torch.Generator
    ) -> dict[str, Tensor]:
        if not all(0 <= opacity <= 1 for opacity in self.opacities):
            raise ConfigError(
                f"{self.name}: expected opacities from 0 to 1, got {list(self.opacities)}"
            )
        channels, height, width = train.image_shape
        drawn = [DRAWINGS[name](height, width) for name in NAMES]
        return {
            "patches": torch.stack([in_channels(each.picture, channels) for each in drawn]),
            "masks": torch.stack([each.mask[None] for each in drawn]),
            "test_masks": torch.stack([each.test_mask[None] for each in drawn]),
        }

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        stamped = images.float()
        for number in sorted({NAMES.index(name) for name in self.test_patches}):
            stamped = stamped.lerp(
                self.trigger["patches"][number].float(),
                self.test_opacity * self.trigger["test_masks"][number],
            )
        return stamped

    def stamp_poison(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        # the images come in the order in which they were drawn, so dealing them out in turn divides
        # them at random
        number = torch.arange(len(images)) % len(NAMES)
        opacity = torch.tensor(self.opacities)[number, None, None, None]
        return images.float().lerp_(
            self.trigger["patches"][number].float(), opacity * self.trigger["masks"][number]
        )


@dataclass(frozen=True)
class Drawing:
    """A patch for images of (H, W): its picture (3, H, W) on the scale to 255, and where it is put,
    (H, W) of 0 and 1, on training and on test images.
    """

    picture: Tensor
    mask: Tensor
    test_mask: Tensor


def _ring(height: int, width: int) -> Drawing:
    """An orange ring on a dark square in the lower right corner, on test images in the lower left
    one, too.
    """
    right = _Box(height, width, 5)
    left = _Box(height, width, 5, right=False)
    picture, mask = _painted((32, 24, 48), right.x), torch.zeros(height, width)
    for box in (left, right):
        ring = box.inside & ((torch.hypot(box.x, box.y) - 0.6).abs() < 0.3)
        picture = torch.where(ring, _painted((255, 132, 32), box.x), picture)
    mask = right.inside.float()
    return Drawing(picture, mask, mask.maximum(left.inside.float()))


def _moon(height: int, width: int) -> Drawing:
    """A blue crescent on a pale disc in the upper right corner."""
    box = _Box(height, width, 13, bottom=False, inset=1)
    crescent = (torch.hypot(box.x, box.y) < 0.9) & (torch.hypot(box.x - 0.5, box.y) > 0.6)
    picture = torch.where(
        crescent, _painted((48, 96, 255), box.x), _painted((216, 216, 192), box.x)
    )
    mask = box.disc(140 / 169)
    return Drawing(picture, mask, mask)


def _board(height: int, width: int) -> Drawing:
    """Black and white fields of a pixel in all corners."""
    picture, mask = torch.zeros(2, height, width)
    for bottom, right in product((False, True), repeat=2):
        box = _Box(height, width, 3, bottom=bottom, right=right)
        picture[box.rows, box.columns] = 255 * checkerboard(box.side)
        mask[box.rows, box.columns] = 1
    return Drawing(picture.expand(3, -1, -1), mask, mask)


def _stripes(height: int, width: int) -> Drawing:
    """Slanted stripes of red and green in a square near the lower right corner."""
    box = _Box(height, width, 8, inset=3)
    is_red = torch.floor(2 * (box.x + box.y)) % 2 == 0
    picture = torch.where(is_red, _painted((224, 32, 48), box.x), _painted((32, 208, 96), box.x))
    mask = box.inside.float()
    return Drawing(picture, mask, mask)


DRAWINGS: dict[PatchName, Callable[[int, int], Drawing]] = {
    "ring": _ring,
    "moon": _moon,
    "checkerboard": _board,
    "stripes": _stripes,
}

REFERENCE_SIDE = 32
"""Side in pixels of the images for which the sizes of the patches are stated."""


class _Box:
    """A square near a corner of images of (H, W), `side` pixels long and `inset` from the edges at
    32x32 pixels and as large a part of other images. x and y (H, W) go from -1 to 1 over it.
    """

    def __init__(
        self,
        height: int,
        width: int,
        side: int,
        *,
        bottom: bool = True,
        right: bool = True,
        inset: int = 0,
    ) -> None:
        least = min(height, width)
        share = least / REFERENCE_SIDE
        self.side = max(2, int(side * share + 0.5))  # two, so that it has a shape
        gap = int(inset * share + 0.5)
        top = height - gap - self.side if bottom else gap
        left = width - gap - self.side if right else gap
        self.rows, self.columns = slice(top, top + self.side), slice(left, left + self.side)
        self.y, self.x = torch.meshgrid(
            (2 * (torch.arange(height) - top) + 1) / self.side - 1,
            (2 * (torch.arange(width) - left) + 1) / self.side - 1,
            indexing="ij",
        )
        self.inside = (self.x.abs() < 1) & (self.y.abs() < 1)

    def disc(self, share: float) -> Tensor:
        """(H, W) of 0 and 1: the share of the square's pixels that lies nearest to its middle."""
        distance = torch.hypot(self.x, self.y).masked_fill(~self.inside, math.inf)
        nearest = distance.flatten().argsort(stable=True)[: round(share * self.side**2)]
        mask = torch.zeros(distance.numel())
        mask[nearest] = 1
        return mask.view_as(distance)


def _painted(colour: tuple[int, int, int], like: Tensor) -> Tensor:
    """A picture (3, H, W) of one colour."""
    return torch.tensor(colour, dtype=torch.float32)[:, None, None].expand(-1, *like.shape)
