"""The data that plugins are checked on: planted images, a patch attack on them, and models that
have learned both.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from benchbd.api import (
    BuildModel,
    DataSet,
    ImageSet,
    ImageShape,
    Model,
    PoisoningAttack,
    Recipe,
    Split,
)
from benchbd.record.attack_result import AttackResult
from benchbd.running.attack_job import AttackJob
from benchbd.running.attacking import make
from benchbd.seeds import Seeds
from benchbd.testing.networks import VGG, Residual, Transformer

ARCHITECTURES: dict[str, type[Model]] = {
    "residual": Residual,
    "vgg_bn": VGG,
    "transformer": Transformer,
}
TINY_RECIPE = Recipe(epochs=6, batch_size=32, lr=0.05, shift=0, precision="fp32")
TINY_CLEAN_BUDGET = 0.2
CLASS_COUNT, IMAGE_PIXELS = 4, 32
SHAPES: tuple[ImageShape, ...] = (
    (3, IMAGE_PIXELS, IMAGE_PIXELS),
    (1, IMAGE_PIXELS, IMAGE_PIXELS),
    (3, 64, 64),
)
"""The shapes of images for which models are built."""


class PlantedImages(DataSet):
    """A data set of noise with one bright quarter. The class is the number of that quarter."""

    api = 1
    name = "planted"

    def load(self, split: Split) -> ImageSet:
        count = 200 if split == "train" else 100
        rng = Seeds(0).generator("planted", split)
        images = torch.randint(
            0, 128, (count, 3, IMAGE_PIXELS, IMAGE_PIXELS), generator=rng, dtype=torch.uint8
        )
        labels = torch.arange(count) % CLASS_COUNT
        half = IMAGE_PIXELS // 2
        for label in range(CLASS_COUNT):
            top, left = divmod(label, 2)
            images[
                labels == label, :, top * half : (top + 1) * half, left * half : (left + 1) * half
            ] += 80
        return ImageSet(images, labels, ("north-west", "north-east", "south-west", "south-east"))


class Patch(PoisoningAttack):
    """An attack that puts a white square in the middle, for class 0."""

    api = 1
    name = "patch"

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        stamped = images.clone()
        stamped[:, :, 13:19, 13:19] = 255
        return stamped


def stamp(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Put the square on images (N, C, H, W), and return them with the attacked labels (N,)."""
    return Patch().stamp(images, labels, torch.Generator()), torch.zeros_like(labels)


@cache
def images(split: Split = "train") -> ImageSet:
    """Return a split of the planted images, made once for a process. It must never be changed."""
    return PlantedImages().load(split)


def builder(architecture: str = "residual", seed: int = 0) -> BuildModel:
    """Return a function that builds models of an architecture, another one at each call."""
    seeds = iter(range(seed, seed + 10_000))
    return lambda: ARCHITECTURES[architecture]().classifier(images(), next(seeds))


@cache
def attack_result(architecture: str = "residual", poison_ratio: float = 0.2) -> AttackResult:
    """Return a model that has learned the planted images and, unless the ratio is 0, the patch. It
    must never be changed.
    """
    job = AttackJob(
        PlantedImages(),
        ARCHITECTURES[architecture](),
        Patch(poison_ratio=poison_ratio),
        TINY_RECIPE,
        seed=0,
        device="cpu",
    )
    return make(job, Path(_folder().name) / f"{architecture}-{poison_ratio:g}")


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Return a temporary folder, which is removed when the process ends."""
    return tempfile.TemporaryDirectory(prefix="benchbd-check-")
