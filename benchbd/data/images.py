"""Images and labels as whole tensors: uint8 (N, C, H, W) and int64 (N,)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from benchbd.errors import DataError

_PART = 16_384
"""Images that are looked at together where all of them might not fit into memory."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images held in memory, never changed in place.

    Raises `DataError` when images are not uint8 (N, C, H, W), labels are not (N,), or a label has
    no class.
    """

    images: Tensor
    labels: Tensor
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise DataError(
                f"expected images as uint8 (N, C, H, W), got {self.images.dtype} "
                f"{tuple(self.images.shape)}"
            )
        if self.labels.dtype != torch.int64 or self.labels.shape != (len(self.images),):
            raise DataError(
                f"expected labels as int64 ({len(self.images)},), got {self.labels.dtype} "
                f"{tuple(self.labels.shape)}"
            )
        if (
            len(self.labels)
            and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < self.num_classes
        ):
            raise DataError(
                f"expected labels from 0 to {self.num_classes - 1}, got {int(self.labels.min())} "
                f"to {int(self.labels.max())}"
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)"""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def subset(self, indices: Tensor) -> ImageSet:
        return ImageSet(self.images[indices], self.labels[indices], self.class_names)

    def to(self, device: torch.device) -> ImageSet:
        return ImageSet(self.images.to(device), self.labels.to(device), self.class_names)

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of every channel, for images in [0, 1]."""
        counts = torch.zeros(self.images.shape[1], 256, dtype=torch.float64)
        for part in self.images.split(_PART):
            counts += torch.stack(
                [
                    torch.bincount(channel.reshape(-1), minlength=256)
                    for channel in part.transpose(0, 1)
                ]
            )
        levels, total = torch.arange(256).double() / 255, counts.sum(1)
        mean = counts @ levels / total
        deviation = (counts @ levels**2 / total - mean**2).clamp(min=0).sqrt().clamp(min=1 / 255)
        return tuple(round(v, 6) for v in mean.tolist()), tuple(
            round(v, 6) for v in deviation.tolist()
        )

    def fingerprint(self) -> str:
        """sha256 over shape, pixels, labels and class names."""
        digest = hashlib.sha256(repr((tuple(self.images.shape), self.class_names)).encode())
        digest.update(self.images.contiguous().numpy().data)
        digest.update(self.labels.contiguous().numpy().data)
        return digest.hexdigest()
