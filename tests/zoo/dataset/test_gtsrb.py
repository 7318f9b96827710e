from __future__ import annotations

import shutil

import pytest
from PIL import Image

from benchbd.api import DataError
from benchbd_zoo.dataset.gtsrb import GTSRB

HEAD = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\n"


def _sign(path, label):
    """One colour that tells the class, in a size of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (15 + label, 60 - label), (label, 2 * label, 255 - label)).save(path)


@pytest.fixture
def folder(tmp_path):
    """One image of each class in either split; the test images lie in reverse order."""
    base = tmp_path / "gtsrb"
    lines = []
    for label in range(43):
        _sign(base / f"GTSRB/Training/{label:05d}/00000_00000.ppm", label)
        _sign(base / f"GTSRB/Final_Test/Images/{42 - label:05d}.ppm", label)
        lines.append(f"{42 - label:05d}.ppm;{15 + label};{60 - label};1;1;2;2;{label}\n")
    (base / "GT-final_test.csv").write_text(HEAD + "".join(reversed(lines)))
    return tmp_path


@pytest.mark.parametrize(
    ("split", "labels"), [("train", list(range(43))), ("test", list(range(42, -1, -1)))]
)
def test_every_image_keeps_its_label_and_gets_one_size(folder, split, labels):
    loaded = GTSRB(path=folder, size=20).load(split)
    assert loaded.images.shape == (43, 3, 20, 20)
    assert loaded.labels.tolist() == labels
    for image, label in zip(loaded.images, labels, strict=True):
        assert image.flatten(1).unique(dim=1).tolist() == [[label], [2 * label], [255 - label]]


def test_names_of_well_known_signs(folder):
    names = GTSRB(path=folder).load("train").class_names
    assert len(names) == len(set(names)) == 43
    assert (names[0], names[8], names[14], names[17], names[40]) == (
        "limit 20 km/h",
        "limit 120 km/h",
        "stop",
        "no entry",
        "roundabout",
    )


def test_a_missing_class_does_not_shift_the_labels(folder):
    shutil.rmtree(folder / "gtsrb/GTSRB/Training/00007")
    with pytest.raises(DataError, match="expected images of 43 classes, got 42"):
        GTSRB(path=folder).load("train")


def test_a_corrupt_image_is_named(folder):
    file = folder / "gtsrb/GTSRB/Training/00009/00000_00000.ppm"
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(DataError, match=r"00009/00000_00000\.ppm"):
        GTSRB(path=folder).load("train")


def test_missing_data_names_the_folder(tmp_path):
    with pytest.raises(DataError, match=f"gtsrb: no data in {tmp_path}/gtsrb"):
        GTSRB(path=tmp_path).load("test")
