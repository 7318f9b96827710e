"""Images and labels as whole tensors: uint8 (N, C, H, W) and int64 (N,)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from benchbd.errors import DataError

_IMAGES_AT_A_TIME = 16_384
"""Images that are processed at a time, because all of them together might not fit into memory."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images as whole tensors.

    images: uint8 (N, C, H, W), from 0 to 255. labels: int64 (N,), each the place of its class in
    `class_names`. The tensors may be shared, so nothing changes them in place. Raises `DataError`
    for other types or shapes, or for a label without a class.

    >>> pair = ImageSet(
    ...     torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 1]), ("cat", "dog")
    ... )
    >>> len(pair), pair.num_classes, pair.image_shape
    (2, 2, (1, 8, 8))
    >>> len(pair.subset(torch.tensor([1])))
    1
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
        """The number of classes, K."""
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """The shape (C, H, W) of one image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def subset(self, indices: Tensor) -> ImageSet:
        """Return the images at the places `indices` (M,), in that order."""
        return ImageSet(self.images[indices], self.labels[indices], self.class_names)

    def to(self, device: torch.device) -> ImageSet:
        """Return the same images on another device."""
        return ImageSet(self.images.to(device), self.labels.to(device), self.class_names)

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the mean and the standard deviation of every channel over all images, on the scale
        from 0 to 1. A deviation is at least 1/255.
        """
        counts = torch.zeros(self.images.shape[1], 256, dtype=torch.float64)
        for part in self.images.split(_IMAGES_AT_A_TIME):
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
        """Return the sha256 of shape, pixels, labels and class names, as 64 hexadecimal digits."""
        digest = hashlib.sha256(repr((tuple(self.images.shape), self.class_names)).encode())
        digest.update(self.images.contiguous().numpy().data)
        digest.update(self.labels.contiguous().numpy().data)
        return digest.hexdigest()
