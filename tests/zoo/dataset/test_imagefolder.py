from __future__ import annotations

import json
import os

import pytest
import torch
from PIL import Image

from benchbd.api import ConfigError, DataError, DataNote
from benchbd_zoo.dataset.imagefolder import ImageFolder


def _picture(path, level, size=(9, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level, 0, 255 - level)).save(path)


def _levels(loaded):
    """The red of every image, by which the tests know it again."""
    return loaded.images[:, 0, 0, 0].tolist()


@pytest.fixture
def flat(tmp_path):
    """Ten images of `cat` (0 to 9) and five of `ant` (100 to 104), in formats without loss."""
    for k in range(10):
        _picture(tmp_path / f"cat/{k}.png", k)
    for k in range(5):
        _picture(tmp_path / f"ant/{k}.bmp", 100 + k)
    return tmp_path


@pytest.fixture
def split(tmp_path):
    for k in range(3):
        _picture(tmp_path / f"train/ant/{k}.png", k)
        _picture(tmp_path / f"train/cat/deeper/{k}.png", 10 + k)
    _picture(tmp_path / "test/cat/0.png", 20)
    return tmp_path


def test_names_are_sorted_and_a_fifth_of_each_class_is_held_out(flat):
    train, test = ImageFolder(path=flat).load("train"), ImageFolder(path=flat).load("test")
    assert train.class_names == test.class_names == ("ant", "cat")
    assert train.labels.bincount().tolist() == [4, 8]
    assert test.labels.bincount().tolist() == [1, 2]
    assert train.image_shape == (3, 8, 9)


def test_every_image_is_in_one_split_with_its_own_label(flat):
    train, test = ImageFolder(path=flat).load("train"), ImageFolder(path=flat).load("test")
    assert sorted(_levels(train) + _levels(test)) == [*range(10), *range(100, 105)]
    for half in (train, test):
        assert [level < 100 for level in _levels(half)] == half.labels.bool().tolist()


def test_test_share(flat):
    assert ImageFolder(path=flat, test_share=0.4).load("test").labels.bincount().tolist() == [2, 4]


def test_a_share_that_leaves_nothing_is_refused(flat):
    with pytest.raises(DataError, match=r"test_share of 0\.01 leaves no image for the test split"):
        ImageFolder(path=flat, test_share=0.01).load("test")


def test_own_split_folders_are_respected(split):
    train, test = ImageFolder(path=split).load("train"), ImageFolder(path=split).load("test")
    assert _levels(train) == [0, 1, 2, 10, 11, 12]
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert (_levels(test), test.labels.tolist(), test.class_names) == ([20], [1], ("ant", "cat"))


def test_val_stands_in_for_test(split):
    (split / "test").rename(split / "val")
    assert _levels(ImageFolder(path=split).load("test")) == [20]


def test_test_goes_before_val(split):
    _picture(split / "val/cat/0.png", 77)
    assert _levels(ImageFolder(path=split).load("test")) == [20]


def test_a_class_that_only_the_test_folder_has_is_refused(split):
    _picture(split / "test/dog/0.png", 1)
    with pytest.raises(DataError, match=r"the class 'dog' of .*test has no training images"):
        ImageFolder(path=split).load("test")


def test_size_scales_and_grey_takes_one_channel(flat):
    _picture(flat / "cat/other.png", 5, size=(40, 30))
    assert ImageFolder(path=flat, size=16, grey=True).load("train").image_shape == (1, 16, 16)


def test_other_sizes_are_refused_by_name(split):
    _picture(split / "train/cat/deeper/1.png", 5, size=(40, 30))
    with pytest.raises(
        DataError, match=r"8x9 pixels .* but .*train/cat/deeper/1\.png has 30x40; set size"
    ):
        ImageFolder(path=split).load("train")


def test_a_corrupt_image_is_named(split):
    file = split / "train/ant/1.png"
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(DataError, match=r"cannot read .*train/ant/1\.png"):
        ImageFolder(path=split).load("train")


def test_hidden_files_and_other_files_are_passed_over(split):
    (split / "train/ant/notes.txt").write_text("no image")
    (split / "train/ant/._0.png").write_bytes(b"no image")
    (split / "train/.cache").mkdir()
    _picture(split / "train/ant/.checkpoints/0.png", 200)
    assert _levels(ImageFolder(path=split).load("train")) == [0, 1, 2, 10, 11, 12]


def test_what_file_servers_put_beside_images_is_passed_over(split):
    _picture(split / "train/ant/@eaDir/0.png/thumb.jpg", 200)
    _picture(split / "train/ant/folder.png/3.png", 3)
    assert _levels(ImageFolder(path=split).load("train")) == [0, 1, 2, 3, 10, 11, 12]


def test_a_link_to_nothing_is_named(split):
    (split / "train/ant/gone.png").symlink_to(split / "train/ant/nowhere.png")
    with pytest.raises(DataError, match=r"imagefolder: cannot read .*gone\.png: No such file"):
        ImageFolder(path=split).load("train")


def test_names_of_jpeg_files_of_any_kind_are_known(split):
    for name in ("a.jfif", "b.JPE"):
        Image.new("RGB", (9, 8), (3, 3, 3)).save(split / "train/ant" / name, "JPEG")
    assert len(ImageFolder(path=split).load("train")) == 8


@pytest.mark.parametrize("name", ["train/ant/link.png", "train/linked"])
def test_a_link_out_of_the_folder_is_not_followed(split, tmp_path_factory, name):
    outside = tmp_path_factory.mktemp("outside")
    _picture(outside / "0.png", 200)
    (split / name).symlink_to(outside / "0.png" if name.endswith(".png") else outside)
    with pytest.raises(DataError, match=f"{name} is a link that leaves"):
        ImageFolder(path=split).load("train")


def test_a_linked_folder_inside_a_class_is_not_entered(split, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    _picture(outside / "0.png", 200)
    (split / "train/ant/linked").symlink_to(outside)
    assert 200 not in _levels(ImageFolder(path=split).load("train"))


def test_a_link_within_the_folder_and_a_link_to_the_folder_are_fine(split, tmp_path_factory):
    (split / "train/ant/9.png").symlink_to(split / "train/cat/deeper/0.png")
    link = tmp_path_factory.mktemp("elsewhere") / "set"
    link.symlink_to(split)
    assert _levels(ImageFolder(path=link).load("train")) == [0, 1, 2, 10, 10, 11, 12]


def test_an_empty_class_is_refused(split):
    (split / "train/bee").mkdir()
    with pytest.raises(DataError, match=r"expected images in .*train/bee, found none"):
        ImageFolder(path=split).load("train")


def test_no_class_folders(tmp_path):
    with pytest.raises(DataError, match=f"one folder for each class in {tmp_path}, found none"):
        ImageFolder(path=tmp_path).load("train")


def test_path_is_required():
    with pytest.raises(ConfigError, match="imagefolder: expected path"):
        ImageFolder().load("train")


def test_the_split_does_not_depend_on_the_global_random_state(flat):
    torch.manual_seed(1)
    first = _levels(ImageFolder(path=flat).load("test"))
    torch.manual_seed(2)
    assert _levels(ImageFolder(path=flat).load("test")) == first


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Training", "Test"),
        ("train", "valid"),
        ("TRAIN", "validation"),
        ("training_set", "test_set"),
        ("trainset", "evalset"),
        ("TrainImages", "TestImages"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("archive/photos/train", "archive/photos/testing"),
        ("train/images", "val/images"),
    ],
)
def test_splits_are_found_under_usual_names(tmp_path, train, test):
    for k, name in enumerate(("ant", "bee")):
        _picture(tmp_path / train / name / "0.png", k)
        _picture(tmp_path / test / name / "0.png", 10 + k)
    halves = [ImageFolder(path=tmp_path).load(split) for split in ("train", "test")]
    assert [_levels(half) for half in halves] == [[0, 1], [10, 11]]
    assert {half.class_names for half in halves} == {("ant", "bee")}


@pytest.mark.parametrize("around", [".", "train", "photos/training"])
def test_what_is_held_out_is_said(tmp_path, around):
    for k in range(20):
        _picture(tmp_path / around / "ab"[k % 2] / f"{k}.png", k)
    with pytest.warns(DataNote, match="20% of each class are held out as the test split"):
        train, test = (ImageFolder(path=tmp_path).load(split) for split in ("train", "test"))
    assert train.class_names == ("a", "b")
    assert (len(train), len(test)) == (16, 4)


def test_test_images_without_classes_are_no_test_split(split):
    (split / "test").rename(split / "val")
    _picture(split / "test/0001.png", 99)
    with pytest.warns(DataNote, match=r"test is not read; the test split is .*val"):
        assert _levels(ImageFolder(path=split).load("test")) == [20]


def test_classes_may_be_called_like_splits(tmp_path):
    for k, name in enumerate(("bus", "car", "train")):
        for j in range(5):
            _picture(tmp_path / name / f"{j}.png", 10 * k + j)
    assert ImageFolder(path=tmp_path).load("train").class_names == ("bus", "car", "train")


@pytest.mark.parametrize("names", [["only"], ["train/only", "test/only"], ["data/deeper/only"]])
def test_one_class_is_refused(tmp_path, names):
    for name in names:
        _picture(tmp_path / name / "0.png", 1)
    with pytest.raises(DataError, match=r"expected at least two classes, found one in .*: 'only'"):
        ImageFolder(path=tmp_path).load("train")


def test_splits_without_training_images_are_refused(tmp_path):
    for name in ("test/ant", "test/bee", "val/ant", "val/bee"):
        _picture(tmp_path / name / "0.png", 1)
    with pytest.raises(DataError, match="has test and val and no folder of training images"):
        ImageFolder(path=tmp_path).load("train")


def test_what_was_passed_over_is_counted(split):
    for name in ("a.avif", "b.AVIF", "c.heic", "d", ".hidden.png", "@eaDir/0.png"):
        file = split / "train/ant" / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"something")
    (split / "train/labels.csv").write_text("outside")
    (split / "train/@eaDir/ant").mkdir(parents=True)
    (split / "train/@eaDir/ant/0.png").write_bytes(b"something")
    with pytest.warns(DataNote, match="files that were passed over") as heard:
        ImageFolder(path=split).load("train")
    told = str(heard[0].message)
    for count in ("2 .avif", "1 .heic", "1 without an ending", "1 hidden", "2 in @eaDir"):
        assert count in told
    assert "1 outside of class folders" in told and "store the .avif and .heic as PNG" in told


def test_a_class_of_files_in_another_format_says_so(split):
    (split / "train/bee").mkdir()
    (split / "train/bee/0.jp2").write_bytes(b"something")
    with pytest.raises(DataError, match=r"found none among 1 \.jp2; store the \.jp2 as PNG"):
        ImageFolder(path=split).load("train")


@pytest.fixture
def numbered(tmp_path):
    """Classes 1, 2 and 10, each with images of that level."""
    for half in ("train", "test"):
        for number in (1, 2, 10):
            _picture(tmp_path / half / str(number) / "0.png", number)
    return tmp_path


def test_numbers_are_sorted_like_letters_and_that_is_said(numbered):
    with pytest.warns(DataNote, match=r"10 comes before 2; .*dataset\.class_order"):
        train = ImageFolder(path=numbered).load("train")
    assert (train.class_names, _levels(train)) == (("1", "10", "2"), [1, 10, 2])


@pytest.mark.parametrize(
    "order",
    [
        "natural",
        "[1, 2, 10]",
        "1\n2\n10\n",
        json.dumps(["1", "2", "10"]),
        json.dumps({"10": 2, "2": 1, "1": 0}),
        json.dumps({"0": ["1", "one"], "1": ["2", "two"], "2": ["10", "ten"]}),
    ],
)
def test_the_order_of_classes_is_given(numbered, tmp_path_factory, order):
    if order[0] not in "n[" or order.startswith('["'):
        file = tmp_path_factory.mktemp("given") / "classes"
        file.write_text(order)
        order = str(file)
    data = ImageFolder.from_text(path=str(numbered), class_order=order)
    for half in ("train", "test"):
        loaded = data.load(half)
        assert loaded.class_names == ("1", "2", "10")
        assert (loaded.labels.tolist(), _levels(loaded)) == ([0, 1, 2], [1, 2, 10])


def test_an_order_must_have_every_class_once(numbered):
    with pytest.raises(ConfigError, match=r"each of the 3 classes once.*without '10'.*'3'"):
        ImageFolder(path=numbered, class_order=("1", "2", "3")).load("train")


@pytest.mark.skipif(os.name == "nt", reason="names there are texts")
def test_a_name_that_is_no_text_is_written_out(tmp_path):
    for name in (b"ant", b"caf\xe9"):
        _picture(tmp_path / "made.png", 5)
        (tmp_path / "train" / os.fsdecode(name)).mkdir(parents=True)
        (tmp_path / "made.png").rename(tmp_path / "train" / os.fsdecode(name) / "0.png")
    assert ImageFolder(path=tmp_path).load("train").class_names == ("ant", r"caf\xe9")


def test_broken_images_are_left_out_when_asked(split):
    for name in ("ant/1.png", "cat/deeper/2.png"):
        (split / "train" / name).write_bytes(b"broken")
    with pytest.raises(DataError, match=r"2 images cannot be read:(?s:.*)1\.png(?s:.*)2\.png"):
        ImageFolder(path=split).load("train")
    train = ImageFolder(path=split, skip_broken=True).load("train")
    assert (_levels(train), train.labels.tolist()) == ([0, 2, 10, 11], [0, 0, 1, 1])
