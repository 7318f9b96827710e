"""Inputs as people have them, each by the command that a person types: read as they are meant, or
refused in words that help, before anything is trained.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from support import found_data as found
from support.command_line import benchbd

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("always::benchbd.errors.DataNote"),
]

TINY = ["--set", "recipe.epochs=0", "--set", "model.width=4", "--threads", "1"]
RUN = [
    "run", "--attack", "badnet", "--set", "dataset.path=data", "--set", "attack.poison_ratio=0.2",
]  # fmt: skip
FOLDER, PARQUET = ["--dataset", "imagefolder"], ["--dataset", "parquet"]
HELD_OUT = "20% of each class are held out as the test split"
THIRTY, ALL = "6 poisoned of 30 training images", "7 poisoned of 36 training images"


@pytest.fixture(autouse=True)
def _nothing_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchbd.cli.main._NOTES_SHOWN", set())


def told(root: Path, words: list[str]) -> tuple[int, str]:
    """The exit code of a command, and all that it says."""
    ended = benchbd(*words, cwd=root)
    return ended.returncode, " ".join((ended.stderr + ended.stdout).split())


@pytest.mark.parametrize(
    ("lay_out", "options", "said"),
    [
        (found.moving, FOLDER, [HELD_OUT, THIRTY]),
        (found.printed, FOLDER, [THIRTY]),
        (found.notes_of_desktops, FOLDER, ["passed over: 3 hidden, 1 .db", THIRTY]),
        (found.copies_of_a_server, FOLDER, ["passed over: 2 in @eaDir", THIRTY]),
        (found.half_of_a_class_jfif, FOLDER, [THIRTY]),
        (found.sixteen_bits, FOLDER, [THIRTY]),
        (found.a_name_in_latin_1, FOLDER, [THIRTY]),
        (found.beside("training", "testing"), FOLDER, [ALL, "/18)"]),
        (found.beside("train", "valid"), FOLDER, [ALL, "/18)"]),
        (found.beside("train"), FOLDER, [HELD_OUT, THIRTY]),
        (found.no_test_image_of_c, [*FOLDER, "--set", "attack.target=c"], [ALL, "/12)"]),
        (found.parquet(index="__index_level_0__"), PARQUET, [ALL]),
        (found.parquet(names=None), PARQUET, [ALL]),
        (found.parquet(names=None, first=1), PARQUET, ["the labels are 1, 2, 3", ALL]),
        (found.parquet(test={"names": ("c", "b", "a")}), PARQUET, [ALL]),
        (found.training_file_alone, PARQUET, [HELD_OUT, THIRTY]),
        (
            found.picture_on_black,
            [*PARQUET, "--set", "attack.image=mask.png"],
            ["is a mark on black, of which the black lets the images through", ALL],
        ),
    ],
    ids=[
        "gif of two frames",
        "cmyk",
        "notes of desktops",
        "copies of a server",
        "jfif",
        "16 bits",
        "latin-1",
        "training testing",
        "train valid",
        "train alone",
        "no test image of the target",
        "index column",
        "no names",
        "labels from 1",
        "another order of names",
        "train alone in parquet",
        "trigger on black",
    ],
)
def test_it_is_read_as_it_is_meant(
    tmp_path: Path, lay_out: found.LayOut, options: list[str], said: list[str]
) -> None:
    lay_out(tmp_path)
    code, heard = told(tmp_path, [*RUN, *options, *TINY])
    assert (code, [words for words in said if words not in heard]) == (0, []), heard


@pytest.mark.parametrize(
    ("lay_out", "options", "said"),
    [
        (found.cut_short, FOLDER, ["data/b/004.png"]),
        (found.another_shard, PARQUET, ["'label' in data/train-00001-of-00002.parquet"]),
        (
            found.parquet(test={"label": "", "names": None}, train={"names": None}),
            PARQUET,
            ["'label' in data/test-00000-of-00001.parquet"],
        ),
    ],
    ids=["cut short", "a shard of other columns", "no labels in the test file"],
)
def test_it_is_refused_by_name_before_training(
    tmp_path: Path, lay_out: found.LayOut, options: list[str], said: list[str]
) -> None:
    lay_out(tmp_path)
    code, heard = told(tmp_path, [*RUN, *options, *TINY])
    assert (code, [words for words in said if words not in heard]) == (4, []), heard
    assert not list(tmp_path.glob("record/*"))


def of_numbers(state: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.bfloat16() if value.is_floating_point() else value
        for name, value in state.items()
    }


def normalised(state: dict[str, Any]) -> dict[str, Any]:
    layer = {"0.mean": torch.full((3,), 0.25), "0.std": torch.full((3,), 0.5)}
    return layer | found.prefixed("1.")(state)


SMALL = ["--model", "resnet_small", "--set", "model.width=4"]
LOADED = "imported from a checkpoint"


@pytest.mark.parametrize(
    ("lay_out", "options", "code", "said"),
    [
        (found.checkpoint("c.pt", of_numbers), SMALL, 0, LOADED),
        (
            found.checkpoint("c.pt", lambda s: s, _use_new_zipfile_serialization=False),
            SMALL,
            0,
            LOADED,
        ),
        (
            found.checkpoint("c.pt", lambda s: {"state_dict": found.prefixed("model.")(s)}),
            SMALL,
            0,
            LOADED,
        ),
        (found.checkpoint("c.pt", lambda s: {"netC": s, "epoch": 3}), SMALL, 0, LOADED),
        (found.checkpoint("c.pt", found.prefixed("_orig_mod.")), SMALL, 0, LOADED),
        (found.checkpoint("c.pt", normalised), SMALL, 0, "mean 0.25, 0.25, 0.25 and deviation 0.5"),
        (found.other_names, ["--model", "torchvision:resnet18"], 0, LOADED),
        (
            found.checkpoint("c.pt", lambda s: s | {"head.bias": s["head.bias"] / 0}),
            SMALL,
            5,
            "not finite (nan or infinite): 3 in head.bias",
        ),
    ],
    ids=[
        "bf16",
        "before PyTorch 1.6",
        "lightning",
        "netC",
        "compiled",
        "a layer that normalises",
        "other names",
        "nan",
    ],
)
def test_checkpoints(
    tmp_path: Path, lay_out: found.LayOut, options: list[str], code: int, said: str
) -> None:
    lay_out(tmp_path)
    words = ["import", "checkpoint", "c.pt", *options, *PARQUET, "--set", "dataset.path=data"]
    ended, heard = told(tmp_path, words)
    assert (ended, said in heard) == (code, True), heard


TRIGGERED = ["--triggered", "trg", "--target", "a"]


@pytest.mark.parametrize(
    ("lay_out", "options", "said"),
    [
        (found.numbered_folders, [], "so 10 comes before 2; for the order of numbers"),
        (found.triggered(".gif"), TRIGGERED, "/12)"),
        (found.triggered(".png", wide=True), TRIGGERED, "/12)"),
    ],
    ids=["numbers as names", "triggered gif", "triggered 16 bits"],
)
def test_checkpoints_beside_folders(
    tmp_path: Path, lay_out: found.LayOut, options: list[str], said: str
) -> None:
    lay_out(tmp_path)
    words = ["import", "checkpoint", "c.safetensors", *SMALL, *FOLDER]
    code, heard = told(tmp_path, [*words, "--set", "dataset.path=data", *options])
    assert (code, said in heard) == (0, True), heard
