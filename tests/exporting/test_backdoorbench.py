"""A result in BackdoorBench's layout is read back as the same result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchbd.data.images import ImageSet
from benchbd.engine.recipe import Recipe
from benchbd.errors import ConfigError
from benchbd.exporting.backdoorbench import differing_normalisation
from benchbd.exporting.backdoorbench import write_result as export_result
from benchbd.importing.assemble import ForeignResult, keep
from benchbd.importing.backdoorbench import find_attack, read_attack
from benchbd.importing.foreign_pickle import read_foreign
from benchbd.record.attack_result import AttackResult, load_attack_result
from support.backdoorbench_folder import PreAct, stirred, write_result
from support.command_line import told


def foreign(folder: Path) -> tuple[ImageSet, ImageSet, ForeignResult]:
    """Clean images and what was found in a result of BackdoorBench that was made from them."""
    rng = torch.Generator().manual_seed(3)
    train, test = (
        ImageSet(
            torch.randint(0, 256, (n, 3, 16, 16), generator=rng, dtype=torch.uint8),
            torch.arange(n) % 3,
            ("a", "b", "c"),
        )
        for n in (30, 15)
    )
    folder.mkdir()
    write_result(folder, train, test, stirred(PreAct()), {3: 0, 4: 0, 8: 2})
    return train, test, read_attack(find_attack(folder), train, test)


@pytest.mark.slow
def test_backdoorbench_reads_back_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    train, test, found = foreign(tmp_path / "theirs")
    first = keep(found, "first")
    told("export", "backdoorbench", "first", "--out", "out")
    again = keep(read_attack(find_attack(Path("out")), train, test), "again")
    assert torch.equal(again.clean_predictions, first.clean_predictions)
    assert torch.equal(again.triggered_predictions, first.triggered_predictions)
    assert torch.equal(again.train.states, first.train.states) and torch.equal(
        again.train.images, first.train.images
    )
    assert (again.manifest.imported or {})["reported"] == {
        k: v for k, v in first.metrics().model_dump().items() if k in ("acc", "asr", "rc")
    }
    theirs, ours = (read_foreign(f / "attack_result.pt") for f in (Path("theirs"), Path("out")))
    assert theirs.keys() <= ours.keys() and theirs["model"].keys() == ours["model"].keys()
    assert (
        ours["bd_train"]["bd_data_container"]["data_dict"].keys()
        == theirs["bd_train"]["bd_data_container"]["data_dict"].keys()
    )
    assert (
        ours["bd_test"]["poison_indicator"].tolist()
        == theirs["bd_test"]["poison_indicator"].tolist()
    )
    assert differing_normalisation(first) is None and Path("out/info.pickle").is_file()


@pytest.mark.slow
def test_backdoorbench_keeps_bystanders_recipe_and_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    train, test, found = foreign(tmp_path / "theirs")
    recipe = Recipe(
        precision="fp32",
        epochs=7,
        lr=0.03,
        batch_size=16,
        momentum=0.5,
        weight_decay=1e-3,
        schedule="cosine",
    )
    triggered = replace(found.triggered, bystander=found.triggered.true_labels == 2)
    first = keep(replace(found, triggered=triggered, recipe=recipe, seed=5), "first")
    export_result(tmp_path / "out", first)
    again = keep(read_attack(find_attack(tmp_path / "out"), train, test), "again")
    assert first.counts().bystanders == 5 and again.counts() == first.counts()
    assert (again.manifest.recipe, again.seed) == (first.manifest.recipe, 5)
    assert read_attack(find_attack(tmp_path / "out"), train, test, seed=6).seed == 6
    assert first.manifest.attack.params["content"] == again.manifest.attack.params["content"]


@pytest.mark.slow
def test_our_own_results_are_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    *_, found = foreign(tmp_path / "theirs")
    first = keep(found, "first")
    with pytest.raises(
        ConfigError,
        match="holds results of benchbd, which would be written over; choose another --out",
    ):
        export_result(first.folder, first)
    load_attack_result("first")
    for _ in range(2):  # an earlier export may be
        export_result(tmp_path / "out", first)


def test_a_model_that_backdoorbench_does_not_have(stored: AttackResult, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no model like resnet_small"):
        export_result(tmp_path, stored)
