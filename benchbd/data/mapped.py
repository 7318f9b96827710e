"""Images larger than memory: uint8 tensors whose pages are read from a file when they are accessed.

The file lies in the folder for temporary files (`TMPDIR`; choose one on a disk), has no name, and
is gone when the process ends, however it ends. Code that takes such a tensor slice by slice works
on it as on any other. For code that would copy all of it, this module has functions of its own.
"""

from __future__ import annotations

import math
import mmap
import os
import tempfile
import weakref

import psutil
import torch
from torch import Tensor

RESIDENT_SHARE = 0.5
"""Images that would fill more than this share of the free memory are mapped."""

_files: dict[int, int | None] = {}
"""Open files of the mapped tensors of this process, by the address of their storage. It is None for
a copy, whose content differs from its file.
"""


def room_for(shape: tuple[int, ...]) -> Tensor:
    """Return an unfilled uint8 tensor of that shape, for the images of a data set.

    It lies in memory if it takes at most half of the free memory, and otherwise in a file without a
    name whose pages are read when they are accessed. It is used like any other tensor.

    >>> images = room_for((100, 3, 8, 8))
    >>> images[:] = 7
    >>> images.dtype, images.shape
    (torch.uint8, torch.Size([100, 3, 8, 8]))
    """
    if math.prod(shape) <= RESIDENT_SHARE * psutil.virtual_memory().available:
        return torch.empty(shape, dtype=torch.uint8)
    return mapped(shape)


def mapped(shape: tuple[int, ...]) -> Tensor:
    """Return a mapped uint8 tensor of zeros. What is written to it goes to its file."""
    with tempfile.TemporaryFile(prefix="benchbd-images-") as file:
        file.truncate(max(1, math.prod(shape)))
        return _view(os.dup(file.fileno()), shape, mmap.ACCESS_WRITE)


def is_mapped(images: Tensor) -> bool:
    """Return whether a tensor, or a slice of one, lies in a file."""
    return images.device.type == "cpu" and images.untyped_storage().data_ptr() in _files


def writable_copy(images: Tensor) -> Tensor:
    """Return a copy that may be written to.

    Of a whole mapped tensor, laid out as in its file, only the pages that are written take memory;
    the file stays as it is.
    """
    storage = images.untyped_storage()
    file = _files.get(storage.data_ptr()) if is_mapped(images) else None
    if file is None or storage.nbytes() != images.numel() or not images.is_contiguous():
        return images.clone()
    return _view(file, tuple(images.shape), mmap.ACCESS_COPY)


def _view(file: int, shape: tuple[int, ...], access: int) -> Tensor:
    """Return the content of an open file as a tensor."""
    size = math.prod(shape)
    pages = mmap.mmap(file, max(1, size), access=access)
    images = torch.frombuffer(pages, dtype=torch.uint8)[:size].view(shape)
    address = images.untyped_storage().data_ptr()
    _files[address] = file if access == mmap.ACCESS_WRITE else None
    weakref.finalize(pages, _forget, address)
    return images


def _forget(address: int) -> None:
    if (file := _files.pop(address)) is not None:
        os.close(file)
