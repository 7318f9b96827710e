"""Foreign checkpoints: every usual form of file, names and stems mapped, and what cannot be
measured is said.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from click.testing import CliRunner
from PIL import Image
from torch import Tensor, nn

from benchbd.cli.main import benchbd as program
from benchbd.data.images import ImageSet
from benchbd.data.poisoned import UNKNOWN_LABEL
from benchbd.engine.inference import logits
from benchbd.errors import ConfigError, DataError, DataNote, NotApplicable, RecordError, UnsafeFile
from benchbd.importing.assemble import keep
from benchbd.importing.checkpoint import (
    read_checkpoint,
    read_state,
    read_triggered,
)
from benchbd.plugin.registry import create
from benchbd.record.attack_result import load_attack_result
from benchbd.victim.torchvision_import import prepare_torchvision
from benchbd_zoo.defense.fine_prune import FinePrune
from benchbd_zoo.defense.spectral_signatures import SpectralSignatures

NAMES = ("ant", "bee", "cat")


def split(count: int, seed: int) -> ImageSet:
    rng = torch.Generator().manual_seed(seed)
    return ImageSet(
        torch.randint(0, 256, (count, 3, 32, 32), generator=rng, dtype=torch.uint8),
        torch.arange(count) % 3,
        NAMES,
    )


CLEAN = split(30, 1), split(15, 2)


def foreign(stem: str) -> nn.Module:
    """A torchvision ResNet with random weights; with `small` the stem that people give it for small
    images.
    """
    prepare_torchvision()
    from torchvision.models import resnet18

    torch.manual_seed(0)
    network: nn.Module = resnet18(num_classes=3)
    if stem == "small":
        network.conv1, network.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    return network.eval()


def answers(network: nn.Module, images: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    with torch.no_grad():
        return network((images.float() / 255 - mean) / std)  # type: ignore[no-any-return]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "stem"),
    [
        ("plain", "as_is"),
        ("plain", "small"),
        ("nested", "as_is"),
        ("parallel", "as_is"),
        ("safetensors", "as_is"),
    ],
)
def test_every_usual_form_gives_the_same_answers(tmp_path: Path, form: str, stem: str) -> None:
    network = foreign(stem)
    state, path = network.state_dict(), tmp_path / "theirs.pt"
    if form == "safetensors":
        path = tmp_path / "theirs.safetensors"
        safetensors.torch.save_file(
            {name: value.contiguous() for name, value in state.items()}, path
        )
    elif form == "parallel":
        torch.save({f"module.{name}": value for name, value in state.items()}, path)
    else:
        torch.save(
            {"epoch": 3, "state_dict": state, "best": 0.5} if form == "nested" else state, path
        )
    found = read_checkpoint(
        path, create("model", "torchvision:resnet18"), CLEAN, statistics=((0.5,) * 3, (0.25,) * 3)
    )  # type: ignore[arg-type]
    test = CLEAN[1].images
    torch.testing.assert_close(
        logits(found.model, test, precision="fp32"),
        answers(network, test, 0.5, 0.25),
        rtol=1e-4,
        atol=1e-4,
    )
    assert found.plugin.params["stem"] == stem and found.plugin.params["variant"] == "resnet18"


@pytest.mark.slow
def test_timm_by_its_own_names(tmp_path: Path) -> None:
    prepare_torchvision()
    import timm

    torch.manual_seed(0)
    network = timm.create_model("resnet10t", num_classes=3).eval()
    torch.save(network.state_dict(), tmp_path / "a.pt")
    model = create("model", "timm:resnet10t")
    found = read_checkpoint(tmp_path / "a.pt", model, CLEAN)  # type: ignore[arg-type]
    torch.testing.assert_close(
        logits(found.model, CLEAN[1].images, precision="fp32"),
        answers(network, CLEAN[1].images),
        rtol=1e-4,
        atol=1e-4,
    )


def small(tmp_path: Path) -> tuple[Path, Any]:
    model: Any = create("model", "resnet_small", {"width": 4})
    torch.save(
        model.restore(3, (3, 32, 32), (0.4,) * 3, (0.2,) * 3).state_dict(), tmp_path / "ours.pt"
    )
    return tmp_path / "ours.pt", model


def test_our_own_parameters_bring_their_normalisation(tmp_path: Path) -> None:
    path, model = small(tmp_path)
    found = read_checkpoint(path, model, CLEAN)
    assert found.model.mean.flatten().tolist() == pytest.approx([0.4] * 3)


@pytest.mark.slow
def test_without_triggered_images_the_report_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path, model = small(tmp_path)
    kept = keep(read_checkpoint(path, model, CLEAN), "theirs")
    assert (
        kept.metrics().asr is None and kept.metrics().rc is None and kept.metrics().acc is not None
    )
    result = FinePrune(epochs=0).defense("theirs", device="cpu")
    assert (
        result.metrics.asr is None
        and result.metrics.der is None
        and result.cell.cost.clean_samples == 30
    )
    with pytest.raises(NotApplicable, match="imported without its training set"):
        SpectralSignatures().defense("theirs", device="cpu")
    words = [
        "run",
        "--defense",
        "fine_prune",
        "--set",
        "defense.epochs=0",
        "--result-file",
        "theirs",
    ]
    told = CliRunner().invoke(program, words, catch_exceptions=False).output
    assert "ASR, RC and DER cannot be measured: there are no triggered images" in told
    assert "the poisoned training set is not known" in told


def pictures(folder: Path, labels: dict[str, int]) -> Path:
    for name, count in labels.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.new("RGB", (32, 32), (number, 0, 255)).save(folder / name / f"{number}.png")
    return folder


@pytest.mark.slow
def test_triggered_images_by_true_class_and_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    by_class = read_triggered(
        pictures(tmp_path / "a", {"ant": 3, "bee": 2, "cat": 1}), CLEAN[1], "ant"
    )
    assert by_class.true_labels.tolist() == [1, 1, 2] and set(
        by_class.attacked_labels.tolist()
    ) == {0}
    unknown = read_triggered(pictures(tmp_path / "b", {".": 4}), CLEAN[1], "2")
    assert unknown.true_labels.tolist() == [UNKNOWN_LABEL] * 4 and not unknown.is_true_known
    path, model = small(tmp_path)
    kept = keep(read_checkpoint(path, model, CLEAN, unknown), "theirs")
    hits = int((kept.triggered_predictions == 2).sum())
    assert (kept.metrics().asr, kept.metrics().rc) == (hits / 4, None)
    assert load_attack_result("theirs").counts().true_hits is None
    with pytest.raises(
        ConfigError, match="expected a class from 0 to 2 or one of ant, bee, cat, got 'dog'"
    ):
        read_triggered(tmp_path / "a", CLEAN[1], "dog")


@pytest.mark.slow
def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path, _ = small(tmp_path)
    pictures(tmp_path / "clean" / "train", dict.fromkeys(NAMES, 4))
    pictures(tmp_path / "clean" / "test", dict.fromkeys(NAMES, 2))
    pictures(tmp_path / "marked", {"bee": 3})
    words = [
        "import",
        "checkpoint",
        str(path),
        "--model",
        "resnet_small",
        "--set",
        "model.width=4",
        "--num-classes",
        "3",
    ]
    words += ["--dataset", "imagefolder", "--set", f"dataset.path={tmp_path / 'clean'}"]
    done = CliRunner().invoke(
        program,
        [*words, "--triggered", "marked", "--target", "ant", "--name", "mine"],
        catch_exceptions=False,
    )
    assert (
        done.exit_code == 0 and "ours.pt, resnet_small, imported from a checkpoint" in done.output
    )
    assert "normalised by mean 0.4, 0.4, 0.4 and deviation 0.2" in done.output
    assert len(load_attack_result("mine").triggered) == 3
    wrong = CliRunner().invoke(program, [*words[:-5], "7", *words[-4:]])
    assert "has 7 classes, the clean images have 3" in str(wrong.exception)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "error", "told"),
    [
        ({"a": 1}, RecordError, "expected a table of parameters.*, with a"),
        ({}, RecordError, "expected a table of parameters"),
        ({"weight": torch.zeros(2)}, RecordError, None),
        (nn.Linear(2, 2), UnsafeFile, r"would import .*Linear.*Ask for the parameters alone"),
    ],
)
def test_what_is_no_checkpoint(
    tmp_path: Path, content: Any, error: type[Exception], told: str | None
) -> None:
    torch.save(content, tmp_path / "a.pt")
    model: Any = create("model", "resnet_small", {"width": 4})
    with pytest.raises(
        error,
        match=told
        or r"it lacks conv\.weight, bn\.weight, bn\.bias and .* more; unknown are weight",
    ):
        read_checkpoint(tmp_path / "a.pt", model, CLEAN)


@pytest.mark.slow
def test_shapes_that_do_not_fit_are_named(tmp_path: Path) -> None:
    path, _ = small(tmp_path)
    assert read_state(path)["network.conv.weight"].shape == (4, 3, 3, 3)
    model: Any = create("model", "resnet_small", {"width": 5})
    with pytest.raises(
        RecordError, match=r"conv\.weight has \(4, 3, 3, 3\), expected \(5, 3, 3, 3\)"
    ):
        read_checkpoint(path, model, CLEAN)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["vgg19_bn", "torchvision"])
def test_both_kinds_of_vgg_are_told_apart(variant: str) -> None:
    from benchbd.importing.architecture import restored_by_name

    prepare_torchvision()
    if variant == "torchvision":
        from torchvision.models import vgg11 as vgg

        name, network = "vgg11", vgg(num_classes=3)
    else:
        name = "vgg19_bn"
        layers: list[nn.Module] = []
        for width, count, before in (
            (64, 2, 3),
            (128, 2, 64),
            (256, 4, 128),
            (512, 4, 256),
            (512, 4, 512),
        ):
            for place in range(count):
                layers += [
                    nn.Conv2d(width if place else before, width, 3, padding=1),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                ]
            layers.append(nn.MaxPool2d(2))
        network = nn.Module()
        network.features, network.classifier = nn.Sequential(*layers), nn.Linear(512, 3)
        network.forward = lambda x: network.classifier(network.features(x).flatten(1))  # type: ignore[method-assign]
    network.eval()
    model, classifier = restored_by_name(
        name, network.state_dict(), CLEAN[1], ((0.0,) * 3, (1.0,) * 3)
    )
    assert model.name == variant
    images = CLEAN[1].images[:4]
    torch.testing.assert_close(
        logits(classifier, images, precision="fp32"), answers(network, images), rtol=1e-4, atol=1e-4
    )


WIDTH_4 = {"width": 4}


def trained(tmp_path: Path, change: Any = None, archive: bool = True) -> Path:
    """A file of the parameters of a small network, as `change` puts them."""
    model: Any = create("model", "resnet_small", WIDTH_4)
    state = model.restore(3, (3, 32, 32), (0.0,) * 3, (1.0,) * 3, seed=5).network.state_dict()
    path = tmp_path / "theirs.bin"
    torch.save(change(state) if change else state, path, _use_new_zipfile_serialization=archive)
    return path


def prefixed(prefix: str) -> Any:
    return lambda state: {prefix + name: value for name, value in state.items()}


def read(path: Path, **options: Any) -> Any:
    model: Any = create("model", "resnet_small", WIDTH_4)
    return read_checkpoint(path, model, CLEAN, **options)


@pytest.mark.parametrize(
    "change",
    [
        prefixed("_orig_mod."),
        prefixed("module.model.net."),
        lambda state: {"netC": state, "grid": torch.zeros(4), "epoch": 3},
        lambda state: {"ema_state_dict": state, "args": argparse.Namespace(lr=0.1)},
        lambda state: {"a": {"b": {"c": state}}},
        lambda state: {**prefixed("model.")(state), "criterion.weight": torch.ones(3)},
        lambda state: {name.replace("head", "linear"): value for name, value in state.items()},
        lambda state: {**state, "epoch": 7},
    ],
)
@pytest.mark.parametrize("archive", [True, False])
def test_one_network_in_many_forms(tmp_path: Path, change: Any, archive: bool) -> None:
    plain = read(trained(tmp_path)).model.state_dict()
    found = read(trained(tmp_path, change, archive)).model.state_dict()
    assert all(torch.equal(value, plain[name]) for name, value in found.items())


def test_safetensors_under_another_ending(tmp_path: Path) -> None:
    stored = torch.load(trained(tmp_path), weights_only=True)
    state = {name: value.contiguous() for name, value in stored.items()}
    safetensors.torch.save_file(state, tmp_path / "a.pth")
    assert read(tmp_path / "a.pth").called == "a.pth"


def test_a_layer_that_normalises_gives_the_statistics(tmp_path: Path) -> None:
    layer = {"0.mean": torch.full((1, 3, 1, 1), 0.25), "0.std": torch.full((1, 3, 1, 1), 0.5)}
    found = read(trained(tmp_path, lambda state: {**layer, **prefixed("1.")(state)}))
    assert found.model.mean.flatten().tolist() == [0.25] * 3
    assert found.model.std.flatten().tolist() == [0.5] * 3


def test_two_networks_in_one_table_are_told_apart_by_prefix(tmp_path: Path) -> None:
    path = trained(tmp_path, lambda state: prefixed("a.")(state) | prefixed("b.")(state))
    with pytest.raises(RecordError, match=r"under the prefixes 'a\.', 'b\.'; choose .*--prefix"):
        read(path)
    assert read(path, prefix="b.").called == path.name


def test_two_tables_are_told_apart_by_place(tmp_path: Path) -> None:
    path = trained(
        tmp_path, lambda state: {"state_dict": state, "ema": {n: v * 0 for n, v in state.items()}}
    )
    with pytest.warns(DataNote, match="those at 'ema' fit as well, --at chooses"):
        assert read(path).model.head.weight.any()
    assert not read(path, at="ema").model.head.weight.any()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    def broken(state: Any) -> Any:
        return {**state, "head.bias": torch.full((3,), value)}

    with pytest.raises(RecordError, match=r"not finite .* 3 in head\.bias"):
        read(trained(tmp_path, broken))


@pytest.mark.slow
def test_what_does_not_fit_is_told_with_what_helps(tmp_path: Path) -> None:
    prepare_torchvision()
    from torchvision.models import resnet34

    state = prefixed("backbone.")(resnet34(num_classes=3).state_dict())
    torch.save({"student": state, "teacher": {"w": torch.zeros(1)}}, tmp_path / "a.pt")
    with pytest.raises(RecordError) as refusal:
        read(tmp_path / "a.pt")
    told = str(refusal.value)
    assert "it lacks conv.weight" in told and "(--prefix backbone.)" in told
    assert "nearest known architecture is torchvision:resnet34" in told
    assert "--at student" in told


@pytest.mark.parametrize("key", ["classes", "class_to_idx"])
def test_classes_in_another_order_are_refused_with_the_order(tmp_path: Path, key: str) -> None:
    names = ("cat", "ant", "bee")
    given: Any = list(names) if key == "classes" else {name: k for k, name in enumerate(names)}
    path = trained(tmp_path, lambda state: {"state_dict": state, key: given})
    with pytest.raises(DataError, match=r"dataset\.class_order=\[cat, ant, bee\]"):
        read(path)
