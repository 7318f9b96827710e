"""The combined model of a backdoored network and its repaired copy, against counts by hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from benchbd.api import CleanSet, ConfigError, predict
from benchbd.data.images import ImageSet
from benchbd.engine.classifier import Classifier
from benchbd.record.attack_result import AttackResult, load_attack_result
from benchbd_zoo.defense.disagreement import Disagreement
from benchbd_zoo.defense.fine_prune import FinePrune
from support.tiny_networks import CLASSES, InPlace, Network

OPTIONS = {"epochs": 0, "tolerances": (0.3,), "ratio": 0.2}


@pytest.fixture
def folder(stored: AttackResult, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stored.folder, tmp_path / "copy"))


@pytest.mark.slow
def test_accuracy_attack_success_and_rates_of_the_combined_model(folder: Path) -> None:
    attack = load_attack_result(folder)
    repaired = FinePrune(**OPTIONS).defense(folder, device="cpu")
    result = Disagreement(options=OPTIONS, ratio=0.2).defense(folder, device="cpu")
    clean_agree = attack.clean_predictions == predict_again(
        attack, repaired.model, attack.test.images
    )
    triggered_agree = attack.triggered_predictions == predict_again(
        attack, repaired.model, attack.triggered.images
    )
    right = attack.clean_predictions == attack.test.labels
    hit = attack.triggered_predictions == attack.triggered.attacked_labels
    detection = result.cell.detection
    assert detection is not None
    assert result.metrics.acc == pytest.approx(float((right & clean_agree).double().mean()))
    assert result.metrics.asr == pytest.approx(float((hit & triggered_agree).double().mean()))
    assert detection["fpr"] == pytest.approx(float((~clean_agree).double().mean()))
    assert detection["tpr"] == pytest.approx(float((~triggered_agree).double().mean()))
    assert 0 < detection["tpr"] < 1 and 0 < detection["fpr"] < 1


def predict_again(
    attack: AttackResult, model: torch.nn.Module, images: torch.Tensor
) -> torch.Tensor:
    return predict(model, images, precision="fp32")


def tiny() -> tuple[Classifier, CleanSet]:
    torch.manual_seed(1)
    model = Classifier(Network(InPlace()), (0.5,) * 3, (0.25,) * 3).eval()
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 3, 8, 8), generator=rng, dtype=torch.uint8)
    part = ImageSet(images, predict(model, images), tuple("abcd"[:CLASSES]))
    return model, CleanSet(part, part)


def test_a_repair_that_changes_nothing_turns_nothing_away() -> None:
    model, clean = tiny()
    scorer = Disagreement(repair="none", options={}).fit(model, clean, torch.Generator())
    assert not scorer.score(clean.train.images).any()


@pytest.mark.slow
def test_any_repair_will_do_and_the_model_handed_in_stays() -> None:
    model, clean = tiny()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    scorer = Disagreement(repair="ft", options={"epochs": 1, "lr": 0.5}).fit(
        model, clean, torch.Generator().manual_seed(0)
    )
    assert set(scorer.score(clean.train.images).tolist()) <= {0.0, 1.0}
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_defense_that_repairs_nothing_is_refused() -> None:
    model, clean = tiny()
    with pytest.raises(
        ConfigError,
        match="expected repair to be a defense that repairs the model, got 'activation_clustering'",
    ):
        Disagreement(repair="activation_clustering", options={}).fit(
            model, clean, torch.Generator()
        )


def test_the_threshold_lies_between_agreement_and_disagreement() -> None:
    assert Disagreement(fpr=0.0).threshold(torch.ones(5)) == 0.5
