"""Image sets as files beside a result: one safetensors file for each split, which
nothing can run.
"""

from __future__ import annotations

import json
from pathlib import Path

import safetensors
import safetensors.torch
from safetensors import SafetensorError

from benchbd.data.images import ImageSet
from benchbd.errors import DataError, RecordError
from benchbd.record.files import require_ordinary, write_bytes
from benchbd.record.keys import key_of


def write_images(folder: Path, train: ImageSet, test: ImageSet) -> str:
    """Store both splits in `folder`, and return their digest, 64 hexadecimal digits."""
    for split, images in (("train", train), ("test", test)):
        content = {"images": images.images.contiguous(), "labels": images.labels.contiguous()}
        names = {"class_names": json.dumps(images.class_names)}
        write_bytes(folder / f"{split}.safetensors", safetensors.torch.save(content, names))
    return digest_of_splits(train, test)


def digest_of_splits(train: ImageSet, test: ImageSet) -> str:
    """Return the digest of two splits."""
    return key_of("images", train.fingerprint(), test.fingerprint())


def read_images(folder: Path, split: str) -> ImageSet:
    """Return the split, "train" or "test", that was stored with a result in `folder`.

    Raises `DataError` when it is not there or cannot be read. A link that leads out of the folder
    is not followed.

    >>> read_images(Path("nowhere"), "train")
    Traceback (most recent call last):
        ...
    benchbd.errors.DataError: the train images of this result cannot be read: ...; import it again
    """
    path = folder / f"{split}.safetensors"
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(
            f"{path} is a link that leaves its folder, which is not followed; put a copy in its "
            "place"
        )
    try:
        require_ordinary(path)
        with safetensors.safe_open(path, "pt") as stored:
            names = tuple(map(str, json.loads(stored.metadata()["class_names"])))
            return ImageSet(stored.get_tensor("images"), stored.get_tensor("labels"), names)
    except (RecordError, SafetensorError, LookupError, TypeError, ValueError) as error:
        raise DataError(
            f"the {split} images of this result cannot be read: {error}; import it again"
        ) from None
