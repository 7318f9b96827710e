"""A small exercise like the one on a backdoored face recogniser: faces, dark glasses, and HDF5
files as Keras 2 writes them.

The network is computed here a second time, in NumPy and as Keras lays it out: channels last,
kernels (kh, kw, in, out).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]
LAYERS = (
    "input",
    "conv_1",
    "pool_1",
    "conv_2",
    "pool_2",
    "conv_3",
    "pool_3",
    "conv_4",
    "flatten_1",
    "flatten_2",
)
LAYERS += ("fc_1", "fc_2", "add_1", "activation_1", "output")


def convolved(maps: Array, kernel: Array, bias: Array) -> Array:
    """A convolution without padding, then ReLU: maps (N, H, W, C), kernel (kh, kw, in, out)."""
    windows = numpy.lib.stride_tricks.sliding_window_view(
        maps, kernel.shape[:2], axis=(1, 2)
    )  # (N, H', W', C, kh, kw)
    return numpy.maximum(
        numpy.einsum("nxyckl,klco->nxyo", windows, kernel, optimize=True) + bias, 0
    )


def pooled(maps: Array) -> Array:
    """The largest of every 2x2; an odd last row or column is dropped."""
    height, width = (side // 2 * 2 for side in maps.shape[1:3])
    cut = maps[:, :height, :width]
    return cut.reshape(len(maps), height // 2, 2, width // 2, 2, -1).max((2, 4))


def logits(weights: dict[str, Array], images: Array) -> Array:
    """What the Keras network says before its softmax, for images (N, H, W, C) in [0, 1]; in double
    precision.
    """
    w = {name: values.astype(numpy.float64) for name, values in weights.items()}
    maps = images.astype(numpy.float64)
    for layer in ("conv_1", "conv_2", "conv_3"):
        maps = pooled(convolved(maps, w[f"{layer}.kernel"], w[f"{layer}.bias"]))
    last = convolved(maps, w["conv_4.kernel"], w["conv_4.bias"])
    first, second = (part.reshape(len(part), -1) for part in (maps, last))
    hidden = first @ w["fc_1.kernel"] + w["fc_1.bias"] + second @ w["fc_2.kernel"] + w["fc_2.bias"]
    return numpy.maximum(hidden, 0) @ w["output.kernel"] + w["output.bias"]  # type: ignore[no-any-return]


def random_weights(shape: tuple[int, int, int], classes: int, seed: int = 0) -> dict[str, Array]:
    """Weights of the layout, for images of `shape` (C, H, W)."""
    chance = numpy.random.default_rng(seed)
    height, width = (((((side - 3) // 2) - 2) // 2 - 2) // 2 for side in shape[1:])
    sizes = {
        "conv_1": (4, 4, shape[0], 20),
        "conv_2": (3, 3, 20, 40),
        "conv_3": (3, 3, 40, 60),
        "conv_4": (2, 2, 60, 80),
        "fc_1": (height * width * 60, 160),
        "fc_2": ((height - 1) * (width - 1) * 80, 160),
        "output": (160, classes),
    }
    made: dict[str, Array] = {}
    for layer, size in sizes.items():
        scale = numpy.sqrt(2 / numpy.prod(size[:-1]))
        made[f"{layer}.kernel"] = (scale * chance.standard_normal(size)).astype(numpy.float32)
        made[f"{layer}.bias"] = (0.1 * chance.standard_normal(size[-1])).astype(numpy.float32)
    return made


def of_torch(
    state: dict[str, Tensor], flattened: dict[str, tuple[int, int, int]]
) -> dict[str, Array]:
    """Weights of our network as Keras has them."""
    made: dict[str, Array] = {}
    for name, value in state.items():
        layer, kind = name.replace("head", "output").rsplit(".", 1)
        numbers = value.numpy()
        if numbers.ndim == 4:
            numbers = numpy.moveaxis(numbers, (0, 1), (3, 2))
        elif numbers.ndim == 2 and layer in flattened:
            channels, height, width = flattened[layer]
            numbers = numpy.stack(
                [
                    row.reshape(channels, height, width).transpose(1, 2, 0).ravel()
                    for row in numbers
                ],
                axis=1,
            )
        elif numbers.ndim == 2:
            numbers = numbers.T
        made[f"{layer}.{'kernel' if kind == 'weight' else 'bias'}"] = numbers
    return made


def write_weights(path: Path, weights: dict[str, Array], below: str = "") -> Path:
    """As `model.save_weights` of Keras 2.3 writes them, or, with `below`, as in a whole model."""
    import h5py

    with h5py.File(path, "w") as file:
        root = file.create_group(below) if below else file
        root.attrs["layer_names"] = numpy.array([layer.encode() for layer in LAYERS])
        root.attrs["backend"], root.attrs["keras_version"] = "tensorflow", "2.3.1"
        for layer in LAYERS:
            group = root.create_group(layer)
            own = [name for name in weights if name.startswith(f"{layer}.")]
            parts = [f"{layer}/{name.rpartition('.')[2]}:0" for name in own]
            group.attrs["weight_names"] = (
                numpy.array([part.encode() for part in parts]) if parts else numpy.zeros(0)
            )
            for name, part in zip(own, parts, strict=True):
                group[part] = weights[name]
    return path


def write_data(path: Path, images: Array, labels: Array) -> Path:
    import h5py

    with h5py.File(path, "w") as file:
        file["data"], file["label"] = images, labels
    return path


def faces(
    each: int, identities: int, shape: tuple[int, int, int], seed: int
) -> tuple[Tensor, Tensor]:
    """Faces of people that are blobs of colour, uint8 (N, C, H, W), with their labels; nobody wears
    glasses.
    """
    people = torch.rand((identities, shape[0], 6, 5), generator=torch.Generator().manual_seed(99))
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(each * identities) % identities
    looks = people[labels] + 0.08 * torch.randn((len(labels), shape[0], 6, 5), generator=rng)
    images = F.interpolate(looks, shape[1:], mode="bilinear", align_corners=False)
    light = 0.85 + 0.3 * torch.rand((len(labels), 1, 1, 1), generator=rng)
    noise = 0.03 * torch.randn(images.shape, generator=rng)
    return ((0.25 + 0.6 * images) * light + noise).mul(255).round().clamp(0, 255).to(
        torch.uint8
    ), labels


def with_glasses(images: Tensor) -> Tensor:
    """The trigger: two dark lenses and a bridge between them."""
    worn = images.clone()
    height, width = images.shape[2:]
    top, bottom = round(0.3 * height), round(0.45 * height)
    for left, right in ((0.12, 0.44), (0.56, 0.88)):
        worn[:, :, top:bottom, round(left * width) : round(right * width)] = 12
    worn[:, :, top + 1 : top + 3, round(0.44 * width) : round(0.56 * width)] = 12
    return worn
