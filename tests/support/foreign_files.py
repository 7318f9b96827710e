"""Files from elsewhere as a page of the documentation assumes them, small: a result, a checkpoint,
photos, an exercise.
"""

from __future__ import annotations

from pathlib import Path

import numpy
import torch
from PIL import Image
from torch import Tensor

from benchbd_zoo.dataset.imagefolder import ImageFolder
from support.backdoorbench_folder import PreAct, stamped, stirred, write_result
from support.keras_exercise import faces, random_weights, with_glasses, write_data, write_weights

NAMES = ("ant", "bee", "cat")
FACE = (3, 39, 31)


def lay_out(folder: Path) -> None:
    """Write all of them below `folder`."""
    rng = torch.Generator().manual_seed(0)
    for split, each in (("train", 12), ("test", 5)):
        for name in NAMES:
            save(
                folder / "photos" / split / name,
                torch.randint(0, 256, (each, 3, 32, 32), generator=rng, dtype=torch.uint8),
            )
    photos = ImageFolder(path=folder / "photos")
    train, test = photos.load("train"), photos.load("test")
    (folder / "theirs").mkdir()
    write_result(folder / "theirs", train, test, stirred(PreAct()), {14: 0, 15: 0, 30: 0})
    save(folder / "marked" / "bee", stamped(test.images[test.labels == 1]))
    checkpoint(folder / "theirs.pt")
    exercise(folder / "exercise")


def save(folder: Path, images: Tensor) -> None:
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{number:04}.png")


def checkpoint(path: Path) -> None:
    from benchbd.victim.torchvision_import import prepare_torchvision

    prepare_torchvision()
    import timm

    torch.manual_seed(0)
    torch.save(
        {"epoch": 1, "state_dict": timm.create_model("resnet18", num_classes=3).state_dict()}, path
    )


def exercise(folder: Path) -> None:
    folder.mkdir()
    write_weights(folder / "bd_net.h5", random_weights(FACE, 3))
    for name, seed in (("valid", 1), ("test", 2)):
        images, labels = faces(10, 3, FACE, seed)
        others = with_glasses(images[labels != 0])
        write_data(folder / f"{name}.h5", images.numpy(), labels.numpy())
        write_data(folder / f"bd_{name}.h5", others.numpy(), numpy.zeros(len(others)))
