"""Tiny data sets in the genuine file formats."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest

from benchbd.api import prepare_torchvision


class _OldPickler(pickle.Pickler):
    """Writes the types of array elements as the NumPy did that wrote the files of CIFAR."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, numpy.dtype):
            return numpy.dtype, ("u1", 0, 1), (3, "|", None, None, None, -1, -1, 0)
        return NotImplemented


@pytest.fixture
def write_pickle() -> Callable[[Path, object], str]:
    """Write an object as the batches of CIFAR are written; gives the md5 of the file."""

    def write(path: Path, content: object) -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        _OldPickler(buffer, protocol=2).dump(content)
        path.write_bytes(buffer.getvalue())
        return hashlib.md5(buffer.getvalue()).hexdigest()

    return write


class Bomb:
    """Unpickling it creates the file `proof`."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> Any:
        return Path.touch, (self.proof,)


@pytest.fixture
def bomb(tmp_path: Path) -> Bomb:
    return Bomb(tmp_path / "unpickled")


@pytest.fixture
def write_idx() -> Callable[[Path, numpy.ndarray[Any, Any]], None]:
    """Write a uint8 array in the idx format: 0, 0, type 8, dimensions, sizes as big-endian int32,
    bytes.
    """

    def write(path: Path, values: numpy.ndarray[Any, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
        path.write_bytes(bytes((0, 0, 8, values.ndim)) + sizes + values.tobytes())

    return write


@pytest.fixture
def torchvision_datasets() -> Any:
    prepare_torchvision()
    import torchvision.datasets

    return torchvision.datasets
