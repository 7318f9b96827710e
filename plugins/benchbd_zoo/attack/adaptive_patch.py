"""Adap-Patch (Qi, Xie, Li, Mahloujifar, Mittal, ICLR 2023, "Revisiting the Assumption of Latent
Separability").

    1. four patches p_1..p_4 with masks m_1..m_4; a training image gets one of them, faintly, the
       images being
       divided equally among the four:     x' = x + opacity_i * m_i * (p_i - x)
    2. poisoned samples are labelled with the target; `cover_ratio` of the samples are stamped
       likewise and keep their label, so that poisoned samples do not stand apart in the features
    3. test images get two of the patches at once, opaque

Poisoned and cover samples are drawn from all classes, without overlap.

Departs from the paper: its patches are image files; these are computed, a ring and a moon for the
two icons, a checkerboard for the BadNets patch and stripes for the Trojan square. Of an image of
32x32 pixels they cover 40, 32, 16 and 64 pixels, each in a corner of its own and at the edge. Those
of the authors cover 25, 140, 36 and 64, three pixels from the edge; the third stands in all four
corners, and at test time the first in both lower ones.
"""

from __future__ import annotations

from collections.abc import Callable
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
            "patches": torch.stack([in_channels(picture, channels) for picture, _ in drawn]),
            "masks": torch.stack([mask[None] for _, mask in drawn]),
        }

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        stamped = images.float()
        for number in sorted({NAMES.index(name) for name in self.test_patches}):
            stamped = stamped.lerp(
                self.trigger["patches"][number].float(),
                self.test_opacity * self.trigger["masks"][number],
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


def _ring(height: int, width: int) -> tuple[Tensor, Tensor]:
    """An orange ring in the top left corner."""
    x, y, inside = _box(height, width, 1 / 4, bottom=False, right=False)
    distance = torch.hypot(x, y)
    return _painted((255, 132, 32), x), inside * ((distance > 0.4) & (distance < 1)).float()


def _moon(height: int, width: int) -> tuple[Tensor, Tensor]:
    """A blue crescent in the top right corner."""
    x, y, inside = _box(height, width, 1 / 4, bottom=False, right=True)
    return _painted((48, 96, 255), x), inside * (
        (torch.hypot(x, y) < 1) & (torch.hypot(x - 0.6, y) > 0.7)
    ).float()


def _board(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Black and white fields of a pixel in the bottom right corner."""
    side = _side(height, width, 1 / 8)
    picture, mask = torch.zeros(2, height, width)
    picture[-side:, -side:] = 255 * checkerboard(side)
    mask[-side:, -side:] = 1
    return picture.expand(3, -1, -1), mask


def _stripes(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Slanted stripes of red and green in a square in the bottom left corner."""
    x, y, inside = _box(height, width, 1 / 4, bottom=True, right=False)
    is_red = torch.floor(2 * (x + y)) % 2 == 0
    return torch.where(is_red, _painted((224, 32, 48), x), _painted((32, 208, 96), x)), inside


DRAWINGS: dict[PatchName, Callable[[int, int], tuple[Tensor, Tensor]]] = {
    "ring": _ring,
    "moon": _moon,
    "checkerboard": _board,
    "stripes": _stripes,
}
"""For images of (H, W): picture (3, H, W) on the scale to 255, and mask (H, W)."""


def _side(height: int, width: int, share: float) -> int:
    """Side of a patch in pixels; two at least, so that it has a shape."""
    return min(height, width, max(2, round(share * min(height, width))))


def _box(
    height: int, width: int, share: float, *, bottom: bool, right: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """x and y (H, W) from -1 to 1 over a square in a corner, and whether (H, W) a pixel
    lies in it.
    """
    side = _side(height, width, share)
    rows = torch.arange(height) - (height - side if bottom else 0)
    columns = torch.arange(width) - (width - side if right else 0)
    y, x = torch.meshgrid((2 * rows + 1) / side - 1, (2 * columns + 1) / side - 1, indexing="ij")
    return x, y, ((x.abs() < 1) & (y.abs() < 1)).float()


def _painted(colour: tuple[int, int, int], like: Tensor) -> Tensor:
    """A picture (3, H, W) of one colour."""
    return torch.tensor(colour, dtype=torch.float32)[:, None, None].expand(-1, *like.shape)
