"""What is exported gives the same answers elsewhere."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy
import pytest
import torch
from click.testing import CliRunner

import benchbd
from benchbd.api import CleanSet, Repair, Repaired
from benchbd.cli.main import benchbd as program
from benchbd.data.images import ImageSet
from benchbd.engine.classifier import Classifier
from benchbd.engine.inference import predict
from benchbd.engine.recipe import Recipe
from benchbd.errors import ConfigError, RecordError
from benchbd.exporting.backdoorbench import differing_normalisation
from benchbd.exporting.backdoorbench import write_result as export_result
from benchbd.exporting.chosen import choose
from benchbd.importing.assemble import ForeignResult, keep
from benchbd.importing.backdoorbench import find_attack, read_attack
from benchbd.importing.foreign_pickle import read_foreign
from benchbd.record.attack_result import AttackResult, load_attack_result
from benchbd_zoo.defense.fine_prune import FinePrune
from support.backdoorbench_folder import PreAct, stirred, write_result

RUNTIMES = ("onnx", "onnxscript", "onnxruntime")


@pytest.fixture(scope="module")
def defended(stored: AttackResult, tmp_path_factory: pytest.TempPathFactory) -> AttackResult:
    """A copy of the stored attack result with one repaired model, of which two steps are kept."""
    copy = tmp_path_factory.mktemp("export") / "small"
    shutil.copytree(stored.folder, copy)
    FinePrune(epochs=0, ratio=0.2, tolerances=(0.05, 0.5)).defense(copy, device="cpu")
    return load_attack_result(copy)


def command(*words: str) -> str:
    done = CliRunner().invoke(program, ["export", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_safetensors_are_loaded_as_the_same_model(defended: AttackResult) -> None:
    told = command("safetensors", str(defended.folder))
    assert "fine_prune.safetensors" in told and "1 x 8 x 8 in [0, 1] to 10 logits" in told
    model = benchbd.load_model(defended.folder / "fine_prune.safetensors")
    chosen = choose(defended)
    images = defended.test.images.float() / 255
    with torch.no_grad():
        assert torch.equal(model(images), chosen.model(images))
    assert not model.training and chosen.about["metrics"]["acc"] is not None


@pytest.mark.parametrize(("kept", "undefended"), [("5%", False), ("50%", False), (None, True)])
def test_which_model_is_chosen(
    defended: AttackResult, tmp_path: Path, kept: str | None, undefended: bool
) -> None:
    choice = ["--undefended"] if undefended else ["--defense", "fine_prune", "--kept", str(kept)]
    command("safetensors", str(defended.folder), *choice, "--out", str(tmp_path / "m.safetensors"))
    model = benchbd.load_model(tmp_path / "m.safetensors")
    weight = model.get_parameter("network.head.weight")
    if undefended:
        assert torch.equal(
            predict(model, defended.test.images, precision="fp32"), defended.clean_predictions
        )
    else:
        stored = torch.load(
            defended.folder / "defense/fine_prune/defense_result.pt", weights_only=True
        )["kept"][kept]
        assert all(torch.equal(value, stored[name]) for name, value in model.state_dict().items())
    assert weight.shape == (10, 16)


class Replacing(Repair):
    """Gives back the attacked model, changed by `changed`."""

    api = 1
    name = "replacing"
    changed: ClassVar[Callable[[Classifier], Classifier]]

    def repair(self, model: Classifier, clean: CleanSet, rng: torch.Generator) -> Repaired:
        return Repaired(self.changed(model))


def always_class_0(model: Classifier) -> Classifier:
    """A repair that lies in a hook: every image is of class 0."""
    model.register_forward_hook(
        lambda module, given, logits: torch.eye(10)[:1].expand(len(logits), -1)
    )
    return model


def another_head(model: Classifier) -> Classifier:
    model.head = torch.nn.Sequential(torch.nn.Linear(16, 10))
    return model.eval()


def repaired(
    monkeypatch: pytest.MonkeyPatch, file: Path, changed: Callable[[Classifier], Classifier]
) -> AttackResult:
    monkeypatch.setattr(Replacing, "changed", staticmethod(changed), raising=False)
    Replacing().defense(file, device="cpu")
    return load_attack_result(file)


def test_a_repair_in_a_hook_is_not_written_without_it(
    monkeypatch: pytest.MonkeyPatch, result_file: Path
) -> None:
    attack = repaired(monkeypatch, result_file, always_class_0)
    every_second = (
        attack.clean_predictions[::2],
        attack.triggered_predictions[::2],
    )  # more than 256, at most 512
    differing, asked = (
        sum(int((classes != 0).sum()) for classes in every_second),
        sum(map(len, every_second)),
    )
    with pytest.raises(
        RecordError,
        match=f"predicts {differing} of {asked} test images otherwise .* a hook or a wrapper",
    ):
        choose(attack)
    written = CliRunner().invoke(program, ["export", "safetensors", str(result_file.parent)])
    assert written.exit_code != 0 and not list(result_file.parent.glob("*.safetensors"))


def test_another_network_is_told_apart_by_its_entries(
    monkeypatch: pytest.MonkeyPatch, result_file: Path
) -> None:
    attack = repaired(monkeypatch, result_file, another_head)
    with pytest.raises(RecordError) as caught:
        choose(attack)
    assert str(caught.value).endswith(
        "cannot be exported: missing: network.head.weight, network.head.bias; "
        "not of the network: network.head.0.weight, network.head.0.bias"
    )


def test_a_choice_that_is_none(defended: AttackResult, stored: AttackResult) -> None:
    for choice in ({"defense": "fine_prune"}, {"kept": "5%"}):
        with pytest.raises(ConfigError, match="give one of them"):
            choose(defended, undefended=True, **choice)
    with pytest.raises(ConfigError, match="did you mean 'fine_prune'"):
        choose(defended, "fine_prun")
    with pytest.raises(ConfigError, match=r"keeps no model '9%'; kept are: 5%, 50%"):
        choose(defended, kept="9%")
    with pytest.raises(ConfigError, match=r"--defense NAME \(stored are: none\), or --undefended"):
        choose(stored)


def test_a_file_of_somebody_else_is_no_model(tmp_path: Path, defended: AttackResult) -> None:
    import safetensors.torch

    safetensors.torch.save_file({"w": torch.zeros(2)}, tmp_path / "a.safetensors")
    with pytest.raises(RecordError, match="was not written by `benchbd export safetensors`"):
        benchbd.load_model(tmp_path / "a.safetensors")
    about = json.dumps(
        choose(defended).about
        | {"outline": {"num_classes": 10**12, "image_shape": [1, 8, 8], "mean": [0], "std": [1]}}
    )
    safetensors.torch.save_file(
        {"network.head.weight": torch.zeros(2, 16)}, tmp_path / "b.safetensors", {"benchbd": about}
    )
    with pytest.raises(RecordError, match="not made for the classes"):
        benchbd.load_model(tmp_path / "b.safetensors")


def test_onnx_runs_elsewhere_with_the_same_logits(defended: AttackResult) -> None:
    for package in RUNTIMES:
        pytest.importorskip(package)
    import onnxruntime

    command("onnx", str(defended.folder))
    session = onnxruntime.InferenceSession(
        defended.folder / "fine_prune.onnx", providers=["CPUExecutionProvider"]
    )
    images = defended.test.images[:7].numpy().astype(numpy.float32) / 255
    (found,) = session.run(["logits"], {"images": images})
    with torch.no_grad():
        expected = choose(defended).model(torch.from_numpy(images)).numpy()
    numpy.testing.assert_allclose(found, expected, atol=1e-5)


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


def test_backdoorbench_reads_back_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    train, test, found = foreign(tmp_path / "theirs")
    first = keep(found, "first")
    command("backdoorbench", "first", "--out", "out")
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
