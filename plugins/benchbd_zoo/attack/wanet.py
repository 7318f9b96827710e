"""WaNet (Nguyen and Tran, ICLR 2021, 2102.10369): a smooth warp that the eye does not notice.

    1. once: P ~ U[-1, 1] of k x k control points, two numbers each; P <- P / mean |P|
    2. N = P upsampled to H x W (bicubic, corners aligned);  I = identity grid in [-1, 1]
    3. warp G = clip((I + s * N / H) * grid_rescale, -1, 1);  x' = x sampled at G (bilinear, corners
       aligned)
    4. in every batch the first int(B * poison_ratio) images are warped by G and labelled with the
       target (all_to_one) or the class after their own (all_to_all); where that is less than one,
       some batches chosen at random have one
    5. the next int(poisoned * cross_ratio) images are warped by clip(G + U[-1, 1] / H, -1, 1),
       freshly drawn for every image, and keep their label: only the exact warp is to open the
       backdoor

Departs from the paper: batches are cropped and flipped as the recipe says; the authors' code also
rotates. Warped images are rounded to whole levels, as a stored image would be.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import (
    BuildModel,
    ConfigError,
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


class WaNet(TrainingControlledAttack):
    """The flow N is drawn once and stored; a larger `s` suits images larger than 32 pixels."""

    api = 1

    poison_ratio: float = param(
        0.1, "share of every batch that is warped and relabelled", ge=0, le=1
    )
    label_mode: LabelMode = param(
        "all_to_one", "who is taken for what: every class for the target, or each for the next"
    )
    k: int = param(4, "control points of the flow along each side", ge=2)
    s: float = param(
        0.5,
        "strength of the warp: mean shift of a control point along each axis, in half pixels",
        ge=0,
    )
    grid_rescale: float = param(
        1.0, "factor on the whole grid; below 1 keeps it inside of the image", gt=0
    )
    cross_ratio: float = param(
        2.0, "cover samples with a noisy warp and their true label, per poisoned sample", ge=0
    )

    def attacked_labels(self, labels: Tensor, num_classes: int) -> Tensor:
        return relabel(labels, num_classes, self.label_mode, self.target)

    def prepare(
        self, train: ImageSet, build_model: BuildModel, recipe: Recipe, rng: torch.Generator
    ) -> dict[str, Tensor]:
        _, height, width = train.image_shape
        return {"flow": smooth_flow(self.k, height, width, rng)}

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return warp(images, self._grid().to(images.device))

    def train(
        self, model: nn.Module, clean_train: ImageSet, recipe: Recipe, rng: torch.Generator
    ) -> nn.Module:
        split = self._split(min(batch_sizes(len(clean_train), recipe.batch_size)), rng)
        grid, draws = self._grid().to(device_of(model)), fork(rng)

        def edit(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
            poisoned, cover, rest = images.split(split(len(images)))
            attacked = self.attacked_labels(labels[: len(poisoned)], clean_train.num_classes)
            warped = warp(poisoned, grid), warp(cover, noisy(grid, len(cover), draws))
            return torch.cat([*map(to_uint8, warped), rest]), torch.cat(
                [attacked, labels[len(poisoned) :]]
            )

        return fit(model, clean_train, recipe, rng, edit=edit, what="training on wanet")

    def _split(self, batch: int, rng: torch.Generator) -> Callable[[int], list[int]]:
        """How many images of a batch are poisoned, cover and clean, from their number."""
        split = shares(self.name, batch, rng, self.poison_ratio)
        most = max(1, int(batch * self.poison_ratio))
        cover = int(most * self.cross_ratio)
        if most + cover > batch:
            raise ConfigError(
                f"wanet: expected poison_ratio and cross_ratio to leave a batch of {batch} large "
                f"enough, got {most} poisoned and {cover} cover images; lower one of them"
            )

        def drawn(size: int) -> list[int]:
            poisoned, rest = split(size)
            cover = int(poisoned * self.cross_ratio)
            return [poisoned, cover, rest - cover]

        return drawn

    def _grid(self) -> Tensor:
        """G (H, W, 2) of the stored flow."""
        flow = self.trigger["flow"]
        height, width, _ = flow.shape
        return ((identity(height, width) + self.s * flow / height) * self.grid_rescale).clamp(-1, 1)


def smooth_flow(k: int, height: int, width: int, rng: torch.Generator) -> Tensor:
    """N (H, W, 2), x then y: k x k random points of mean size 1, upsampled."""
    points = 2 * torch.rand(1, 2, k, k, generator=rng) - 1
    points = points / points.abs().mean()
    return (
        F.interpolate(points, (height, width), mode="bicubic", align_corners=True)[0]
        .permute(1, 2, 0)
        .contiguous()
    )


def identity(height: int, width: int) -> Tensor:
    """I (H, W, 2): where every pixel lies, x then y, from -1 to 1."""
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
    )
    return torch.stack([x, y], dim=2)


def noisy(grid: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """`count` grids (N, H, W, 2) around `grid` (H, W, 2), each with a draw of its own."""
    noise = 2 * torch.rand(count, *grid.shape, generator=rng) - 1
    return (grid + noise.to(grid.device) / len(grid)).clamp(-1, 1)


def warp(images: Tensor, grid: Tensor) -> Tensor:
    """Images (N, C, H, W) uint8 sampled at one grid (H, W, 2) or one each (N, H, W, 2); float, on
    the scale to 255.
    """
    grids = grid.expand(len(images), *grid.shape[-3:])
    return F.grid_sample(
        images.float(), grids, mode="bilinear", padding_mode="zeros", align_corners=True
    )
