"""Weights as safetensors give the same model when they are loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import benchbd
from benchbd.engine.inference import predict
from benchbd.errors import RecordError
from benchbd.exporting.chosen import choose
from benchbd.record.attack_result import AttackResult
from support.command_line import told


def test_safetensors_are_loaded_as_the_same_model(defended: AttackResult) -> None:
    said = told("export", "safetensors", str(defended.folder))
    assert "fine_prune.safetensors" in said and "1 x 8 x 8 in [0, 1] to 10 logits" in said
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
    told(
        "export",
        "safetensors",
        str(defended.folder),
        *choice,
        "--out",
        str(tmp_path / "m.safetensors"),
    )
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
