"""What was found elsewhere becomes an attack result like any other, and takes the place of none."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from benchbd.data.images import ImageSet
from benchbd.engine.inference import predict
from benchbd.errors import RecordError
from benchbd.importing.assemble import (
    ForeignResult,
    digest_of_tensors,
    in_role,
    keep,
    nothing_triggered,
    only_model,
)
from benchbd.plugin.registry import create
from benchbd.victim.model import Model


@pytest.fixture
def found(tmp_path: Path, images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> ForeignResult:
    """A model of which neither training set nor triggered images are known."""
    monkeypatch.chdir(tmp_path)
    plugin = create(Model, "resnet_small", {"width": 2})
    model = plugin.classifier(images, seed=0)
    train, test = only_model(images), images.subset(torch.arange(30))
    return ForeignResult(
        "a checkpoint", "patch", "model-only", plugin, model, train, test, nothing_triggered(test)
    )


def test_it_is_stored_with_its_images_and_predictions(found: ForeignResult) -> None:
    kept = keep(found, "theirs")
    assert kept.folder == Path("record/theirs")
    assert {path.name for path in kept.folder.iterdir()} >= {
        "attack_result.pt",
        "train.safetensors",
        "test.safetensors",
    }
    assert kept.test.fingerprint() == found.test.fingerprint()
    expected = predict(found.model, found.test.images, precision="fp32")
    assert torch.equal(kept.clean_predictions, expected)
    assert (kept.metrics().asr, kept.manifest.imported or {}) == (
        None,
        {"format": "a checkpoint", "called": "patch", "reported": {}},
    )


def test_the_same_again_is_written_again_and_another_is_refused(found: ForeignResult) -> None:
    first = keep(found, "theirs")
    assert keep(found, "theirs").key == first.key
    other = dataclasses.replace(found, model=found.plugin.classifier(found.test, seed=1))
    with pytest.raises(RecordError, match="holds another result; choose another --name"):
        keep(other, "theirs")
    assert keep(other, "others").key != first.key


def test_a_name_stays_in_its_folder(found: ForeignResult) -> None:
    assert keep(found, "../../theirs").folder.parent == Path("record")


def test_a_digest_hangs_on_names_types_shapes_and_contents() -> None:
    one = torch.arange(4, dtype=torch.int32)
    others = [
        {"b": one},
        {"a": one.float()},
        {"a": one.reshape(2, 2)},
        {"a": one + 1},
        {"a": one, "b": one},
    ]
    digests = {digest_of_tensors(other) for other in others}
    assert len(digests) == 5 and digest_of_tensors({"a": one}) not in digests
    assert digest_of_tensors({"a": one}) == digest_of_tensors(
        {"a": torch.arange(8, dtype=torch.int32)[:4]}
    )


@pytest.mark.parametrize("kind", ["attack", "defense"])
def test_a_plugin_stands_for_what_was_made_elsewhere(kind: str) -> None:
    assert in_role(kind) == "benchbd/imported"
