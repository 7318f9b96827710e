"""The attack result, stored and read back."""

from __future__ import annotations

import copy
import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchbd.data.poisoned import State
from benchbd.engine.inference import predict
from benchbd.errors import BenchbdError, DataError, Diverged, PluginNotFound, RecordError
from benchbd.record.attack_files import is_stored
from benchbd.record.attack_result import AttackResult, load_attack_result, result_path
from benchbd.record.tensor_files import read_tensors, write_tensors

Content = dict[str, Any]


def test_round_trip(stored: AttackResult, result_file: Path) -> None:
    read = load_attack_result(result_file)
    assert read.manifest == stored.manifest
    assert (read.key, read.seed, read.folder) == (stored.key, 0, result_file.parent)
    for name, value in stored.model.state_dict().items():
        assert torch.equal(read.model.state_dict()[name], value)
    for part in ("indices", "images", "labels", "states"):
        assert torch.equal(getattr(read.train, part), getattr(stored.train, part))
    for part in ("indices", "images", "true_labels", "attacked_labels"):
        assert torch.equal(getattr(read.triggered, part), getattr(stored.triggered, part))
    assert read.metrics() == stored.metrics()
    assert read.test.fingerprint() == stored.test.fingerprint()


def test_the_model_that_was_read_predicts_what_was_stored(result_file: Path) -> None:
    read = load_attack_result(result_file)
    assert not read.model.training
    assert torch.equal(
        predict(read.model, read.test.images, precision="fp32"), read.clean_predictions
    )
    assert torch.equal(
        predict(read.model, read.triggered.images, precision="fp32"), read.triggered_predictions
    )


def test_metrics_by_hand(stored: AttackResult) -> None:
    metrics, triggered = stored.metrics(), stored.triggered
    assert metrics.acc == float((stored.clean_predictions == stored.test.labels).double().mean())
    assert metrics.asr == float((stored.triggered_predictions == 0).double().mean())
    assert metrics.rc == float(
        (stored.triggered_predictions == triggered.true_labels).double().mean()
    )
    assert metrics.der is None


def test_what_was_poisoned_and_triggered(stored: AttackResult) -> None:
    """A white square of two pixels in the lower right corner, a fifth of the training set, not of
    class 0.
    """
    train, triggered = stored.train, stored.triggered
    assert train.count(State.POISONED) == round(0.2 * len(train)) == stored.manifest.counts.poisoned
    assert set(train.labels.tolist()) == {0}
    assert 0 not in train.clean.labels[train.indices].tolist()
    assert int(train.images[:, :, 6:, 6:].min()) == int(triggered.images[:, :, 6:, 6:].min()) == 255
    assert torch.equal(triggered.images[:, :, :6], stored.test.images[triggered.indices][:, :, :6])
    assert triggered.indices.tolist() == torch.nonzero(stored.test.labels != 0)[:, 0].tolist()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("part", ["trigger", "model"])
def test_an_attack_that_came_to_no_number_is_not_stored(
    stored: AttackResult, tmp_path: Path, part: str, value: float
) -> None:
    spoilt = {"pattern": torch.tensor([1, value])}
    model = copy.deepcopy(stored.model)
    if part == "model":
        model.head.bias.data[0] = value  # type: ignore[union-attr, operator]
    trigger = spoilt if part == "trigger" else {}
    result = dataclasses.replace(stored, folder=tmp_path / "new", model=model, trigger=trigger)
    with pytest.raises(
        Diverged, match=rf"the attack badnet in fp32 .* in {part}\..*precision=fp32"
    ):
        result.save()
    assert not (tmp_path / "new").exists()


def test_the_delta_is_small(stored: AttackResult) -> None:
    content = read_tensors(stored.path)
    assert content["predictions"]["clean"].dtype == torch.uint16
    assert content["poisoned"]["images"].shape == (len(stored.train.indices), 1, 8, 8)
    assert set(content) == {
        "schema",
        "manifest",
        "model",
        "poisoned",
        "triggered",
        "trigger",
        "predictions",
    }


@pytest.mark.parametrize("how", ["file", "folder", "name"])
def test_a_result_is_found_by_file_folder_and_name(
    tmp_path: Path, result_file: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    (tmp_path / "record").mkdir()
    result_file.parent.rename(tmp_path / "record" / "small")
    monkeypatch.chdir(tmp_path)
    given: dict[str, str | Path] = {
        "file": tmp_path / "record" / "small" / "attack_result.pt",
        "folder": "record/small",
        "name": "small",
    }
    assert result_path(given[how]).samefile("record/small/attack_result.pt")


def test_a_name_that_leads_nowhere_lists_what_there_is(
    tmp_path: Path, result_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        RecordError, match=r"no attack result at large or record/large/attack_result\.pt$"
    ):
        load_attack_result("large")
    (tmp_path / "record").mkdir()
    result_file.parent.rename(tmp_path / "record" / "small")
    with pytest.raises(RecordError, match=r"under record/ there are: small"):
        load_attack_result("large")


def test_is_stored_says_whether_it_is_whole_and_of_that_key(
    stored: AttackResult, tmp_path: Path
) -> None:
    shutil.copytree(stored.folder, tmp_path / "copy")
    assert is_stored(tmp_path / "copy", stored.key)
    assert not is_stored(tmp_path / "copy", "0" * 64)
    assert not is_stored(tmp_path / "absent", stored.key)
    with (tmp_path / "copy" / "attack_result.pt").open("ab") as file:
        file.write(b"more")
    assert not is_stored(tmp_path / "copy", stored.key)
    (tmp_path / "copy" / "manifest.json").write_text("[]")
    assert not is_stored(tmp_path / "copy", stored.key)


def test_another_data_set_is_refused(result_file: Path) -> None:
    content = read_tensors(result_file)
    content["manifest"]["fingerprints"]["test"] = "0" * 64
    write_tensors(result_file, content)
    with pytest.raises(
        DataError, match="the test split of 'digits' has changed since this result was made"
    ):
        load_attack_result(result_file)


def drop(*path: str) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        for name in path[:-1]:
            content = content[name]
        del content[path[-1]]

    return change


def put(value: Any, *path: str) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        for name in path[:-1]:
            content = content[name]
        content[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        put(99, "schema"),
        *(
            drop(part)
            for part in ("manifest", "model", "poisoned", "triggered", "trigger", "predictions")
        ),
        put(None, "manifest"),
        put([], "manifest"),
        put("text", "manifest"),
        drop("manifest", "outline"),
        put(7, "manifest", "outline", "num_classes"),
        put(None, "manifest", "outline", "mean"),
        put(5, "manifest", "fingerprints"),
        put(None, "model"),
        put({}, "model"),
        drop("model", "mean"),
        put(torch.zeros(3), "model", "network.head.weight"),
        put(None, "poisoned", "images"),
        put(torch.zeros(2), "poisoned", "stranger"),
        put(torch.zeros(3, 1, 8, 8, dtype=torch.uint8), "poisoned", "images"),
        put(torch.zeros(3, 1, 8, 8, dtype=torch.uint8), "triggered", "images"),
        put(torch.zeros(1, dtype=torch.uint16), "predictions", "clean"),
        put(torch.zeros(1, dtype=torch.uint16), "predictions", "triggered"),
        put("text", "predictions", "clean"),
    ],
)
def test_a_result_that_was_tampered_with_is_refused(
    result_file: Path, change: Callable[[Content], None]
) -> None:
    content = read_tensors(result_file)
    change(content)
    write_tensors(result_file, content)
    with pytest.raises((RecordError, DataError)):
        load_attack_result(result_file)


def all_of(value: int, *path: str) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        for name in path:
            content = content[name]
        content[:] = value  # type: ignore[index]

    return change


def one_place(content: Content) -> None:
    for name in ("indices", "true_labels"):
        content["triggered"][name][:] = content["triggered"][name][0].clone()


def smaller(content: Content) -> None:
    content["triggered"]["images"] = content["triggered"]["images"][:, :, :4, :4]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (all_of(99, "poisoned", "labels"), "expected poisoned labels from 0 to 9, got 99 to 99"),
        (all_of(9, "poisoned", "states"), "expected poisoned states from 1 to 2, got 9 to 9"),
        (
            all_of(State.CLEAN, "poisoned", "states"),
            "expected poisoned states from 1 to 2, got 0 to 0",
        ),
        (
            all_of(77, "triggered", "attacked_labels"),
            "expected attacked labels from 0 to 9, got 77 to 77",
        ),
        (all_of(-2, "triggered", "indices"), "two images of one place"),
        (one_place, "two images of one place"),
        (smaller, r"expected triggered images like the test images \(1, 8, 8\), got \(1, 4, 4\)"),
        (all_of(10, "predictions", "clean"), "a class beyond the 10 that there are"),
    ],
)
def test_forged_numbers_are_refused(
    result_file: Path, change: Callable[[Content], None], told: str
) -> None:
    content = read_tensors(result_file)
    change(content)
    write_tensors(result_file, content)
    with pytest.raises(RecordError, match=rf"does not hold a whole attack result .*{told}"):
        load_attack_result(result_file)


def test_bystanders_are_marked_by_truth_values(result_file: Path) -> None:
    content = read_tensors(result_file)
    content["triggered"]["bystander"] = torch.full(
        (len(content["triggered"]["indices"]),), 7, dtype=torch.uint8
    )
    write_tensors(result_file, content)
    with pytest.raises(RecordError, match=r"expected bystander as torch\.bool"):
        load_attack_result(result_file)


def test_triggered_images_of_other_places_are_refused(result_file: Path) -> None:
    content = read_tensors(result_file)
    content["triggered"]["indices"] = content["triggered"]["indices"].flip(0)
    write_tensors(result_file, content)
    with pytest.raises(RecordError, match="true labels"):
        load_attack_result(result_file)
    content["triggered"]["indices"] += 10_000
    write_tensors(result_file, content)
    with pytest.raises(RecordError, match="does not hold a whole attack result"):
        load_attack_result(result_file)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (put("nobody", "manifest", "dataset", "name"), PluginNotFound),
        (put({"width": "wide"}, "manifest", "model", "params"), BenchbdError),
    ],
)
def test_a_plugin_that_is_gone_is_named(
    result_file: Path, change: Callable[[Content], None], error: type[Exception]
) -> None:
    content = read_tensors(result_file)
    content["manifest"].pop("found_as", None)
    change(content)
    write_tensors(result_file, content)
    with pytest.raises(error, match=r"nobody|width"):
        load_attack_result(result_file)


def test_a_result_cut_short_is_refused(result_file: Path) -> None:
    whole = result_file.read_bytes()
    for share in (0.0, 0.1, 0.5, 0.9, 0.999):
        result_file.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(RecordError):
            load_attack_result(result_file)
