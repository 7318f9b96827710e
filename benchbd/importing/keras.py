"""The pruning exercise of courses on backdoors: a face recogniser in Keras, and images in HDF5.

Weights: Keras 2 keeps a group for each layer, with `kernel:0` and `bias:0`, in the file itself or
below `model_weights`. A convolution's kernel (kh, kw, in, out) becomes (out, in, kh, kw). A dense
kernel (in, out) becomes (out, in), and where it reads a flattened map its inputs are put from
channels-last into channels-first order:

    W'[o, c H W + h W + w] = W[h W C + w C + c, o]

Images: `data` (N, C, H, W) or (N, H, W, C), uint8 or float on the scale of [0, 1] or of 0..255, and
`label` (N,). The network sees them as [0, 1]. The defender holds the clean validation file, and all
of it; the clean test file is what is measured on. The labels of the poisoned files are the attacked
ones; the true classes of their images are not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchbd.data.images import ImageSet
from benchbd.data.poisoned import UNKNOWN_LABEL, TriggeredSet
from benchbd.engine.inference import predict
from benchbd.errors import DataError, PluginNotFound, RecordError
from benchbd.importing.architecture import restored
from benchbd.importing.assemble import ForeignResult, nothing_triggered, only_model
from benchbd.importing.hdf5 import array, member, names, opened
from benchbd.plugin.registry import create, entries
from benchbd.record.keys import MODEL_ONLY
from benchbd.victim.model import ImageShape, Model

KERAS = "Keras"

REPORT_ROUNDING = 1e-3
"""How far numbers on the scale of [0, 1] may lie outside of it because of rounding; one level of
255 is four times as much.
"""

DARK_LEVEL = 16
"""A file of floats whose brightest pixel lies between 1 and this level is refused, because its
scale is neither [0, 1] nor that from 0 to 255.
"""

PARAMETERS = {"kernel": "weight", "bias": "bias"}


@dataclass(frozen=True)
class KerasExercise:
    """The files of the exercise. Those of poisoned images may be missing."""

    weights: Path
    clean_validation: Path
    clean_test: Path
    poisoned_validation: Path | None = None
    poisoned_test: Path | None = None


def read_exercise(files: KerasExercise, model: Model | None = None, seed: int = 0) -> ForeignResult:
    """Return the exercise as an attacked model. Raises `RecordError` or `DataError`."""
    model = model or usual_model()
    stored = read_weights(files.weights)
    train_images, train_labels = read_data(files.clean_validation)
    shape = cast(ImageShape, tuple(train_images.shape[1:]))
    state = as_torch(stored, model, shape)
    classes = tuple(str(number) for number in range(_outputs(files.weights, stored)))
    train, test = (
        ImageSet(train_images, train_labels, classes),
        ImageSet(*read_data(files.clean_test), classes),
    )
    channels = len(train_images[0])
    classifier = restored(model, state, train, ((0.0,) * channels, (1.0,) * channels))
    triggered = _triggered(files.poisoned_test, test)
    details: dict[str, Any] = {
        "files": [path.name for path in vars(files).values() if path is not None]
    }
    if files.poisoned_validation is not None:
        seen = _triggered(files.poisoned_validation, test)
        hits = int(
            (predict(classifier, seen.images, precision="fp32") == seen.attacked_labels).sum()
        )
        details["poisoned_validation"] = {"images": len(seen), "attack_hits": hits}
    return ForeignResult(
        format=KERAS,
        called=files.weights.name,
        family=MODEL_ONLY,
        plugin=model,
        model=classifier,
        train=only_model(train),
        test=test,
        triggered=triggered,
        target=int(triggered.attacked_labels.min()) if len(triggered) else 0,
        clean_budget=1.0,
        seed=seed,
        details=details,
    )


def usual_model() -> Model:
    """Return the model whose card says that files of Keras are made for it."""
    for entry in entries("model"):
        if entry.card.get("imports") == "keras":
            return cast(Model, create("model", f"{entry.provider}/{entry.name}"))
    raise PluginNotFound("no model here has `imports: keras` on its card; name one with --model")


def read_weights(path: Path) -> dict[str, NDArray[Any]]:
    """Return the kernels and biases as Keras stores them, by `layer.kernel` and `layer.bias`."""
    found: dict[str, NDArray[Any]] = {}
    with opened(path) as file:
        root = member(path, file, "model_weights") if "model_weights" in file else file
        for layer in names(root, "layer_names"):
            group = member(path, root, layer)
            for name in names(group, "weight_names"):
                kind = name.rpartition("/")[2].partition(":")[0]
                if kind not in PARAMETERS:
                    raise RecordError(
                        f"{path}: layer {layer!r} has {kind!r}; only kernels and biases are known "
                        "here"
                    )
                found[f"{layer}.{kind}"] = array(path, group, name)
    if not found:
        raise RecordError(f"{path} holds no weights of Keras 2: it names no layers with kernels")
    return found


def as_torch(stored: dict[str, NDArray[Any]], model: Model, shape: ImageShape) -> dict[str, Tensor]:
    """Return the same numbers in the layout of PyTorch, by `layer.weight` and `layer.bias`."""
    flattened = model.flattened(shape)
    return {
        f"{layer}.{PARAMETERS[kind]}": torch.from_numpy(
            _laid_out(values, layer, flattened.get(layer)).astype(numpy.float32)
        )
        for (layer, _, kind), values in (
            (name.rpartition("."), values) for name, values in stored.items()
        )
    }


def _laid_out(values: NDArray[Any], layer: str, flattened: ImageShape | None) -> NDArray[Any]:
    if values.ndim == 4:
        return values.transpose(3, 2, 0, 1)
    if values.ndim != 2:
        return values
    if flattened is None:
        return values.T
    channels, height, width = flattened
    if len(values) != channels * height * width:
        raise RecordError(
            f"layer {layer!r} reads {len(values)} numbers, its map of these images has "
            f"{channels}x{height}x{width}"
        )
    maps = values.reshape(height, width, channels, -1)
    return maps.transpose(3, 2, 0, 1).reshape(-1, channels * height * width)


def _outputs(path: Path, stored: dict[str, NDArray[Any]]) -> int:
    """Return the number of classes, from the last layer."""
    last = next(reversed(stored))
    if last.endswith(".bias") and stored[last].ndim == 1:
        return len(stored[last])
    raise RecordError(f"{path}: expected a last layer with a bias, found {last!r}")


def read_data(path: Path) -> tuple[Tensor, Tensor]:
    """Return images uint8 (N, C, H, W) and labels (N,). Raises `RecordError` or `DataError`."""
    with opened(path) as file:
        data, label = array(path, file, "data"), array(path, file, "label")
    if data.ndim != 4 or label.shape != (len(data),) or not len(data):
        raise DataError(
            f"{path}: expected data (N, C, H, W) and label (N,), got {data.shape} and {label.shape}"
        )
    if not bool((label == numpy.floor(label)).all()) or label.min() < 0:
        raise DataError(
            f"{path}: expected labels as whole numbers from 0, got {label.min()} to {label.max()}"
        )
    if data.shape[1] not in (1, 3) and data.shape[3] in (1, 3):
        data = data.transpose(0, 3, 1, 2)
    return torch.from_numpy(_levels(path, data)), torch.from_numpy(label.astype(numpy.int64))


def _levels(path: Path, data: NDArray[Any]) -> NDArray[numpy.uint8]:
    """Return the pixels on the scale from 0 to 255. Floats in [0, 1] are scaled, and all are
    rounded to the nearest level.
    """
    if data.dtype == numpy.uint8:
        return numpy.ascontiguousarray(data)
    lowest, highest = float(data.min()), float(data.max())
    if not bool(numpy.isfinite(data).all()) or lowest < -REPORT_ROUNDING or highest > 255:
        raise DataError(f"{path}: expected pixels from 0 to 255, got {lowest} to {highest}")
    small = data.dtype.kind == "f" and highest <= 1 + REPORT_ROUNDING
    if data.dtype.kind == "f" and not small and highest <= DARK_LEVEL:
        raise DataError(
            f"{path}: its pixels go up to {highest:g}, which is neither [0, 1] nor 0..255; store "
            "them as uint8"
        )
    return numpy.ascontiguousarray(
        numpy.rint(data * (255 if small else 1)).clip(0, 255).astype(numpy.uint8)
    )


def _triggered(path: Path | None, test: ImageSet) -> TriggeredSet:
    if path is None:
        return nothing_triggered(test)
    images, attacked = read_data(path)
    if tuple(images.shape[1:]) != test.image_shape or int(attacked.max()) >= test.num_classes:
        raise DataError(
            f"{path}: its images {tuple(images.shape[1:])} or labels do not fit those of the "
            "clean test file"
        )
    unknown = torch.full_like(attacked, UNKNOWN_LABEL)
    return TriggeredSet(unknown, images, unknown, attacked)
