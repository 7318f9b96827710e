"""Results of BackdoorBench: parameters by name, images from the PNG trees, poison apart from cover,
the same answers.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from torch import nn

from benchbd.attack.training_controlled import TrainingControlledAttack
from benchbd.cli.main import benchbd as program
from benchbd.data.images import ImageSet
from benchbd.data.poisoned import State
from benchbd.engine.inference import predict
from benchbd.errors import BenchbdError, DataError, DataNote, RecordError
from benchbd.importing.archive import as_folder
from benchbd.importing.assemble import keep
from benchbd.importing.backdoorbench import find_attack, find_defenses, read_attack, read_defense
from benchbd.importing.defended import keep_defended
from benchbd.importing.foreign_pickle import read_foreign
from benchbd.record.attack_result import load_attack_result
from benchbd.record.defense_result import read_defense_result
from benchbd.record.keys import MODEL_ONLY
from benchbd.record.manifest import SampleCounts
from benchbd_zoo.defense.ft import FT
from support import foreign_files
from support.backdoorbench_folder import MEAN, STD, PreAct, answers, stamped, stirred, write_result

NAMES = ("ant", "bee", "cat")
POISONED = {3: 0, 4: 0, 7: 0, 8: 2, 10: 1}
"""Three relabelled to 0, one of class 2 and one of class 1 that keep their label."""


def split(count: int, seed: int, size: int = 16) -> ImageSet:
    rng = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 3, size, size), generator=rng, dtype=torch.uint8)
    return ImageSet(pixels, torch.arange(count) % 3, NAMES)


TRAIN, TEST = split(60, 1), split(30, 2)


@pytest.fixture
def network() -> nn.Module:
    return stirred(PreAct())


@pytest.fixture
def folder(tmp_path: Path, network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "theirs"
    made.mkdir()
    write_result(made, TRAIN, TEST, network, POISONED)
    return made


@pytest.mark.slow
def test_the_network_answers_as_there(folder: Path, network: nn.Module) -> None:
    found = read_attack(find_attack(folder), TRAIN, TEST)
    assert torch.equal(
        predict(found.model, TEST.images, precision="fp32"), answers(network, TEST.images)
    )
    triggered = stamped(TEST.images)[TEST.labels != 0]
    assert torch.equal(found.triggered.images, triggered)
    assert torch.equal(
        predict(found.model, found.triggered.images, precision="fp32"), answers(network, triggered)
    )
    assert found.plugin.params["width"] == 4
    assert (found.model.mean.flatten().tolist(), found.model.std.flatten().tolist()) == (
        pytest.approx(MEAN),
        pytest.approx(STD),
    )


@pytest.mark.slow
def test_poison_and_cover_are_told_apart(folder: Path) -> None:
    train = read_attack(find_attack(folder), TRAIN, TEST).train
    assert train.indices.tolist() == list(POISONED) and train.labels.tolist() == list(
        POISONED.values()
    )
    # place 3 is of class 0 and gets label 0, which the attack gives: it is poison; 8 and 10 keep
    # labels that it changes
    assert train.states.tolist() == [State.POISONED] * 3 + [State.COVER] * 2
    assert torch.equal(train.images, stamped(TRAIN.images)[list(POISONED)])


@pytest.mark.slow
def test_images_that_all_keep_their_label_are_clean_label_poison(
    folder: Path, network: nn.Module
) -> None:
    write_result(folder, TRAIN, TEST, network, {0: 0, 3: 0, 6: 0})
    assert (
        read_attack(find_attack(folder), TRAIN, TEST).train.states.tolist() == [State.POISONED] * 3
    )


@pytest.mark.slow
def test_images_of_another_size_are_scaled(folder: Path) -> None:
    """Bilinear with antialiasing, as that tool scales; PyTorch's own is within one level of it."""
    large, large_test = split(60, 1, size=37), split(30, 2, size=37)
    found = read_attack(find_attack(folder), large, large_test)
    expected = F.interpolate(large_test.images.float(), (16, 16), mode="bilinear", antialias=True)
    assert found.test.image_shape == (3, 16, 16)
    assert (found.test.images.float() - expected).abs().max() <= 1


@pytest.mark.slow
def test_the_stored_result_is_like_any_other(folder: Path) -> None:
    kept = keep(read_attack(find_attack(folder), TRAIN, TEST), "mine")
    again = load_attack_result("mine")
    assert again.key == kept.key and torch.equal(
        again.train.as_seen().images, kept.train.as_seen().images
    )
    assert again.metrics() == kept.metrics() and again.manifest.counts == SampleCounts(
        poisoned=3, cover=2
    )
    result = FT(epochs=1, ratio=0.5).defense("mine", device="cpu")
    assert (
        result.baseline == kept.metrics() and result.cell.cell.attack.params["called"] == "unknown"
    )
    shutil.move("record", "elsewhere")
    assert load_attack_result("elsewhere/mine").metrics() == kept.metrics()


@pytest.mark.slow
def test_another_result_of_that_name_is_not_written_over(folder: Path, network: nn.Module) -> None:
    keep(read_attack(find_attack(folder), TRAIN, TEST), "mine")
    keep(read_attack(find_attack(folder), TRAIN, TEST), "mine")
    write_result(folder, TRAIN, TEST, stirred(network, 5), POISONED)
    with pytest.raises(RecordError, match="holds another result; choose another --name"):
        keep(read_attack(find_attack(folder), TRAIN, TEST), "mine")


@pytest.mark.slow
def test_changed_images_beside_a_result_are_noticed(folder: Path) -> None:
    keep(read_attack(find_attack(folder), TRAIN, TEST), "mine")
    shutil.copy("record/mine/test.safetensors", "record/mine/train.safetensors")
    with pytest.raises(DataError, match="the train split of 'stored' has changed"):
        load_attack_result("mine")
    Path("record/mine/train.safetensors").unlink()
    Path("record/mine/train.safetensors").symlink_to("/etc/hostname")
    with pytest.raises(DataError, match="is a link that leaves its folder"):
        load_attack_result("mine")


@pytest.mark.slow
def test_defended_models_come_along(folder: Path) -> None:
    healed = stirred(PreAct(), 9)
    place = folder / "defense" / "ft"
    place.mkdir(parents=True)
    content = {
        "model_name": "preactresnet18",
        "num_classes": 3,
        "model": {f"module.{k}": v for k, v in healed.state_dict().items()},
    }
    torch.save(content, place / "defense_result.pt")
    attack = keep(read_attack(find_attack(place), TRAIN, TEST), "mine")
    assert list(find_defenses(folder)) == list(find_defenses(place)) == ["ft"]
    name, state = read_defense(find_defenses(folder)["ft"])
    result = keep_defended(attack, "ft", "BackdoorBench", state)
    assert name == "preactresnet18"
    assert torch.equal(result.clean_predictions, answers(healed, TEST.images))
    assert result.metrics.acc == float(
        (answers(healed, TEST.images) == TEST.labels).double().mean()
    )
    assert (
        result.folder == Path("record/mine/defense/backdoorbench-ft")
        and (result.folder / "cell.json").is_file()
    )


@pytest.mark.slow
def test_a_defended_model_lies_apart_from_our_own_defense_of_that_name(folder: Path) -> None:
    attack = keep(read_attack(find_attack(folder), TRAIN, TEST), "mine")
    own = FT(epochs=1, ratio=0.5).defense("mine", device="cpu")
    theirs = keep_defended(attack, "ft", "BackdoorBench", stirred(PreAct(), 9).state_dict())
    stored = [read_defense_result(each.path)["cell"].cell.defense.name for each in (own, theirs)]
    assert stored == ["ft", "imported"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        (
            {"model_name": "resnext29"},
            RecordError,
            "no model here is known elsewhere as 'resnext29'",
        ),
        (
            {"model": {"conv1.weight": torch.zeros(4, 3, 3, 3)}},
            RecordError,
            r"it lacks layer1\.0\.bn1\.weight",
        ),
        ({"model": "text"}, RecordError, "expected a table of parameters"),
        ({"num_classes": 10}, DataError, "is for 10 classes, the clean data have 3"),
        ({"img_size": (16, 16, 1)}, DataError, "images of 1 channels"),
        ({"img_size": (10**9, 10**9, 3)}, RecordError, "expected img_size"),
        ({"bd_test": {}}, RecordError, "its table of triggered images cannot be used"),
        ({"bd_train": 7}, RecordError, "its table of poisoned images cannot be used"),
        *(
            (
                {"normalisation": [[mean] * 3, [std] * 3]},
                DataError,
                "is no mean and positive deviation for each of the 3 channels",
            )
            for mean, std in (
                (float("nan"), 1.0),
                (0.0, float("inf")),
                (0.0, 1e-300),
                ("x", "y"),
                (None, 1.0),
            )
        ),
        ({"bystanders": ["x"]}, RecordError, "its table of triggered images cannot be used"),
        ({"seed": -1}, RecordError, "expected its seed to be a whole number"),
    ],
)
def test_what_does_not_fit_is_refused(
    folder: Path, network: nn.Module, changes: dict[str, Any], error: type, told: str
) -> None:
    write_result(folder, TRAIN, TEST, network, POISONED, **changes)
    with pytest.raises(error, match=told):
        read_attack(find_attack(folder), TRAIN, TEST)


@pytest.mark.slow
def test_other_clean_data_are_refused(folder: Path) -> None:
    shifted = ImageSet(TEST.images, (TEST.labels + 1) % 3, NAMES)
    with pytest.raises(DataError, match="was made from other images"):
        read_attack(find_attack(folder), TRAIN, shifted)
    with pytest.raises(DataError, match="the clean data have 9"):
        read_attack(find_attack(folder), TRAIN, TEST.subset(torch.arange(9)))


@pytest.mark.slow
def test_the_same_labels_over_other_images_are_noticed(folder: Path) -> None:
    """Twelve pixels of 256 are the trigger; other noise does not correlate at all."""
    right = read_attack(find_attack(folder), TRAIN, TEST).details["resemblance"]
    wrong = read_attack(find_attack(folder), TRAIN, split(30, 77)).details["resemblance"]
    assert right > 0.7 and abs(wrong) < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("written", ["../../secret.png", "a/../secret.png", "/etc/..", "x"])
def test_paths_that_lead_out_are_refused(folder: Path, network: nn.Module, written: str) -> None:
    path = write_result(folder, TRAIN, TEST, network, POISONED)
    content = read_foreign(path)
    (folder / "secret.png").write_bytes(
        next((folder / "bd_test_dataset").rglob("*.png")).read_bytes()
    )
    next(iter(content["bd_test"]["bd_data_container"]["data_dict"].values()))["path"] = written
    torch.save(content, path)
    with pytest.raises(BenchbdError, match=r"refused|cannot read .*No such file"):
        read_attack(path, TRAIN, TEST)


def test_a_link_in_the_tree_is_not_followed(folder: Path) -> None:
    image = next((folder / "bd_test_dataset").rglob("*.png"))
    outside = folder.parent / "outside.png"
    image.rename(outside)
    image.symlink_to(outside)
    with pytest.raises(DataError, match="leads out of"):
        read_attack(find_attack(folder), TRAIN, TEST)


def test_no_result_and_no_attack_beside_a_defense(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"no attack_result\.pt in"):
        find_attack(tmp_path)


def test_the_attack_is_found_from_inside_the_folder_of_a_defense(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = folder / "defense" / "ft"
    place.mkdir(parents=True)
    (place / "defense_result.pt").touch()
    monkeypatch.chdir(place)
    assert find_attack(Path()).samefile(folder / "attack_result.pt") and list(
        find_defenses(Path())
    ) == ["ft"]


@pytest.mark.slow
def test_nobody_says_how_much_was_poisoned_where_batches_were(
    folder: Path, network: nn.Module
) -> None:
    """0 would say that nobody attacked."""
    kept = keep(read_attack(find_attack(folder), TRAIN, TEST), "samples")
    assert kept.manifest.attack.params["poison_ratio"] == 3 / 60
    write_result(folder, TRAIN, TEST, network, {}, bd_train=None)
    kept = keep(read_attack(find_attack(folder), TRAIN, TEST), "batches")
    assert (
        kept.manifest.family == "training-controlled"
        and "poison_ratio" not in kept.manifest.attack.params
    )
    cell = FT(epochs=1, ratio=0.5).defense("batches", device="cpu").cell
    assert cell.key == cell.cell.key(cell.protocol)
    stored = torch.load(kept.path, weights_only=True)["poisoned"]["images"]
    assert stored.untyped_storage().nbytes() == 0, (
        "no view of the clean images, of which all would be stored"
    )


@pytest.mark.slow
def test_an_archive_of_one_folder_is_that_folder(folder: Path) -> None:
    with zipfile.ZipFile("packed.zip", "w") as archive:
        for file in folder.rglob("*.*"):
            archive.write(file, Path("outer", "theirs", file.relative_to(folder)))
    with as_folder(Path("packed.zip")) as laid_out:
        assert read_attack(find_attack(laid_out), TRAIN, TEST).called == "unknown"
    with (
        pytest.raises(RecordError, match=r"no attack_result\.pt in packed\.zip"),
        as_folder(Path("packed.zip")) as laid_out,
    ):
        find_attack(laid_out / "bd_test_dataset")


def genuine() -> Path:
    """A folder with backdoorbench/w_badnet and cifar10 below it; tests that need it are skipped
    without.
    """
    place = Path(os.environ.get("BENCHBD_DATA", "/nowhere"))
    if not (place / "backdoorbench" / "w_badnet").is_dir():
        pytest.skip("BENCHBD_DATA names no folder with backdoorbench/w_badnet and cifar10 in it")
    return place


def test_the_genuine_result_gives_the_numbers_that_its_makers_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchbd_zoo.dataset.parquet import Parquet

    place = genuine()
    monkeypatch.chdir(tmp_path)
    clean = Parquet(
        path=place / "cifar10", by_path=True, limit_per_class=200, test_limit_per_class=100
    )
    kept = keep(
        read_attack(
            place / "backdoorbench/w_badnet/attack_result.pt",
            clean.load("train"),
            clean.load("test"),
        ),
        "w",
    )
    told, here = kept.manifest.imported["reported"], kept.metrics().model_dump()
    assert {name: here[name] for name in told} == pytest.approx(told, abs=1e-3)
    assert kept.manifest.imported["resemblance"] > 0.9


@pytest.mark.slow
def test_an_archive_is_read_like_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    foreign_files.lay_out(tmp_path)
    made, healed = tmp_path / "packed.zip", stirred(PreAct(), 4).state_dict()
    (tmp_path / "theirs/defense/ft").mkdir(parents=True)
    torch.save(
        {"model_name": "preactresnet18", "num_classes": 3, "model": healed},
        tmp_path / "theirs/defense/ft/defense_result.pt",
    )
    with zipfile.ZipFile(made, "w") as archive:
        for file in (tmp_path / "theirs").rglob("*.*"):
            archive.write(file, file.relative_to(tmp_path / "theirs"))
    words = [
        "import",
        "backdoorbench",
        str(made),
        "--dataset",
        "imagefolder",
        "--set",
        f"dataset.path={tmp_path / 'photos'}",
    ]
    done = CliRunner().invoke(program, words, catch_exceptions=False)
    assert done.exit_code == 0 and "│ ft " in done.output and "record/packed" in done.output
    assert (
        Path("record/packed/defense/backdoorbench-ft/defense_result.pt").is_file()
        and len(load_attack_result("packed").triggered) == 10
    )
    refused = CliRunner().invoke(
        program, ["import", "backdoorbench", str(made), "--dataset", "digits"]
    )
    assert "images of 3 channels, the clean data have 1" in str(refused.exception)


def test_without_its_training_images_a_result_is_imported_with_the_rest(folder: Path) -> None:
    shutil.rmtree(folder / "bd_train_dataset")
    with pytest.warns(DataNote, match="no bd_train_dataset beside"):
        found = read_attack(find_attack(folder), TRAIN, TEST)
    assert found.family == MODEL_ONLY and not len(found.train.indices)
    assert torch.equal(found.triggered.images, stamped(TEST.images)[TEST.labels != 0])


def test_an_attack_that_controls_training_is_known_by_its_name(folder: Path) -> None:
    torch.save({"attack": "inputaware"}, folder / "info.pickle")
    with pytest.warns(DataNote, match="inputaware controls training"):
        found = read_attack(find_attack(folder), TRAIN, TEST)
    assert found.family == TrainingControlledAttack.family and not len(found.train.indices)
