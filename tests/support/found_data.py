"""Images, parquet files and checkpoints as people have them, small and made up: what each writes is
named after what is special about it.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy
import pyarrow
import pyarrow.parquet
import safetensors.torch
import torch
from PIL import Image

from benchbd.plugin.registry import create

NAMES = ("a", "b", "c")
EACH, TESTED = 12, 6
SIDE = 16
COLUMN = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])

LayOut = Callable[[Path], None]


def picture(label: int, number: int) -> Image.Image:
    """An image of a class: its brightness is that of the class, and it has a place of its own."""
    pixels = numpy.full((SIDE, SIDE, 3), 60 * label + 40, numpy.uint8)
    pixels[number % SIDE, :, label] = 255
    return Image.fromarray(pixels)


def save(image: Image.Image, path: Path, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


def folders(
    root: Path, each: int = EACH, ending: str = ".png", names: Sequence[str] = NAMES
) -> None:
    """A folder of images for each class."""
    for label, name in enumerate(names):
        for number in range(each):
            save(picture(label, number), root / name / f"{number:03}{ending}")


def beside(*splits: str) -> LayOut:
    """Two folders of those names side by side, the first to train on."""

    def lay_out(root: Path) -> None:
        for split, each in zip(splits, (EACH, TESTED), strict=False):
            folders(root / "data" / split, each)

    return lay_out


def plain(root: Path) -> None:
    folders(root / "data")


def moving(root: Path) -> None:
    """GIF files of two frames."""
    for label, name in enumerate(NAMES):
        for number in range(EACH):
            frames = [picture(label, number), picture(0, number)]
            path = root / "data" / name / f"{number:03}.gif"
            save(frames[0], path, save_all=True, append_images=frames[1:])


def printed(root: Path) -> None:
    """JPEG files in the four inks of a printer."""
    for label, name in enumerate(NAMES):
        for number in range(EACH):
            save(picture(label, number).convert("CMYK"), root / f"data/{name}/{number:03}.jpg")


def notes_of_desktops(root: Path) -> None:
    plain(root)
    for place in ("data/.DS_Store", "data/a/.DS_Store", "data/b/Thumbs.db", "data/a/._000.png"):
        (root / place).write_bytes(b"\0\0\0\1Bud1")


def copies_of_a_server(root: Path) -> None:
    plain(root)
    for place in ("data/a/@eaDir", "data/@eaDir/a"):
        save(picture(0, 0), root / place / "000.png" / "SYNOPHOTO_THUMB_S.jpg")


def half_of_a_class_jfif(root: Path) -> None:
    plain(root)
    for path in sorted((root / "data/a").iterdir())[::2]:
        save(Image.open(path), path.with_suffix(".jfif"), format="JPEG")
        path.unlink()


def sixteen_bits(root: Path) -> None:
    for label, name in enumerate(NAMES):
        for number in range(EACH):
            wide = numpy.full((SIDE, SIDE), 15_000 * label + 10_000 + number, numpy.uint16)
            save(Image.fromarray(wide), root / "data" / name / f"{number:03}.png")


def cut_short(root: Path) -> None:
    plain(root)
    path = root / "data/b/004.png"
    path.write_bytes(path.read_bytes()[:60])


def no_test_image_of_c(root: Path) -> None:
    folders(root / "data/train")
    folders(root / "data/test", TESTED, names=NAMES[:2])


def a_name_in_latin_1(root: Path) -> None:
    plain(root)
    (root / "data/a").rename(root / "data" / os.fsdecode(b"caf\xe9"))


def rows(
    path: Path, each: int, names: Sequence[str] | None = NAMES, first: int = 0, **columns: str
) -> None:
    """A parquet file with so many images of each class. names: of the classes in the metadata.
    first: the number of the first class. columns: other names for `image` and `label`; an empty one
    leaves the column out.
    """
    labels = [label for label in range(3) for _ in range(each)]
    given = [names.index(NAMES[label]) if names else label + first for label in labels]
    content = {
        columns.get("image", "image"): pyarrow.array(
            [{"bytes": png(label, k), "path": None} for k, label in enumerate(labels)], COLUMN
        ),
        columns.get("label", "label"): pyarrow.array(given, pyarrow.int64()),
    }
    table = pyarrow.table({name: values for name, values in content.items() if name})
    if "index" in columns:
        table = table.append_column(columns["index"], [list(range(len(labels)))])
    if names:
        features = {"label": {"names": list(names), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata(
            {"huggingface": json.dumps({"info": {"features": features}})}
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(table, path)


def png(label: int, number: int) -> bytes:
    buffer = io.BytesIO()
    picture(label, number).save(buffer, "PNG")
    return buffer.getvalue()


def parquet(
    train: dict[str, Any] | None = None, test: dict[str, Any] | None = None, **both: Any
) -> LayOut:
    """A training and a test file. train, test, both: what is special about their rows."""

    def lay_out(root: Path) -> None:
        rows(root / "data/train-00000-of-00001.parquet", EACH, **both | (train or {}))
        rows(root / "data/test-00000-of-00001.parquet", TESTED, **both | (test or {}))

    return lay_out


def training_file_alone(root: Path) -> None:
    rows(root / "data/train-00000-of-00001.parquet", EACH)


def another_shard(root: Path) -> None:
    rows(root / "data/train-00000-of-00002.parquet", EACH)
    rows(root / "data/train-00001-of-00002.parquet", EACH, image="img", label="labels")
    rows(root / "data/test-00000-of-00001.parquet", TESTED)


def picture_on_black(root: Path) -> None:
    """A trigger as some tools store it: a patch, and black where the image is to stay."""
    parquet()(root)
    black = Image.new("RGB", (SIDE, SIDE))
    black.paste((255, 255, 255), (SIDE - 3, SIDE - 3, SIDE, SIDE))
    save(black, root / "mask.png")


def weights(classes: int = 3) -> dict[str, torch.Tensor]:
    """The parameters of a narrow network."""
    model: Any = create("model", "resnet_small", {"width": 4})
    restored = model.restore(classes, (3, SIDE, SIDE), (0.0,) * 3, (1.0,) * 3, seed=5)
    found: dict[str, torch.Tensor] = restored.network.state_dict()
    return found


def checkpoint(name: str, change: Callable[[Any], Any], **options: Any) -> LayOut:
    """A file of these parameters, as `change` puts them, beside a data set."""

    def lay_out(root: Path) -> None:
        parquet()(root)
        torch.save(change(weights()), root / name, **options)

    return lay_out


def prefixed(prefix: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda state: {prefix + name: value for name, value in state.items()}


def other_names(root: Path) -> None:
    """A ResNet-18 under the names that a repository of 2017 gave to its layers."""
    parquet()(root)
    model: Any = create("model", "torchvision:resnet18", {"stem": "small"})
    state = model.restore(3, (3, SIDE, SIDE), (0.0,) * 3, (1.0,) * 3, seed=5).network.state_dict()
    renamed = {
        name.replace("downsample", "shortcut").replace("fc.", "linear."): value
        for name, value in state.items()
    }
    torch.save({"net": renamed, "acc": 93.1, "epoch": 5}, root / "c.pt")


def numbered_folders(root: Path) -> None:
    names = ["1", "2", "10"]
    folders(root / "data", names=names)
    safetensors.torch.save_file(_contiguous(weights()), root / "c.safetensors")


def triggered(ending: str, wide: bool = False) -> LayOut:
    """A checkpoint, its data, and triggered images of the classes b and c in another format."""

    def lay_out(root: Path) -> None:
        plain(root)
        safetensors.torch.save_file(_contiguous(weights()), root / "c.safetensors")
        for label in (1, 2):
            for number in range(TESTED):
                stamped = picture(label, number)
                if wide:
                    grey = numpy.asarray(stamped.convert("L")).astype(numpy.uint16) * 257
                    stamped = Image.fromarray(grey)
                save(stamped, root / "trg" / NAMES[label] / f"{number:03}{ending}")

    return lay_out


def _contiguous(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.contiguous() for name, value in state.items()}
