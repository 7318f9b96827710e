"""The scene of an analysis, built from what is stored."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchbd.api import Classifier, CleanSet, Repair, accuracy, predict
from benchbd.engine.hardware import hardware
from benchbd.record.attack_result import load_attack_result
from benchbd.record.defended_model import stored_defense
from benchbd.running.scenery import build_scene


class Halved(Repair):
    """A repair of a moment: it halves the weights of the head."""

    api = 1
    name = "halved"

    def repair(self, model: Classifier, clean: CleanSet, rng: torch.Generator) -> Classifier:
        with torch.no_grad():
            model.head.weight.mul_(0.5)
        return model.eval()


class Hooked(Repair):
    """A repair that its parameters do not hold."""

    api = 1
    name = "hooked"

    def repair(self, model: Classifier, clean: CleanSet, rng: torch.Generator) -> Classifier:
        model.register_forward_hook(lambda module, given, logits: logits.roll(1, 1))
        return model.eval()


@pytest.mark.slow
def test_models_answer_as_they_did_and_one_that_cannot_be_rebuilt_is_named(
    result_file: Path,
) -> None:
    for defense in (Halved(), Hooked()):
        defense.defense(result_file, device="cpu")
    attack = load_attack_result(result_file)
    stored = [stored_defense(attack, name) for name in ("halved", "hooked")]
    scenery = build_scene(attack, stored, hardware("cpu"))
    assert list(scenery.scene.models) == ["backdoored", "halved"]
    assert list(scenery.scene.predictions) == ["backdoored", "halved", "hooked"]
    assert list(scenery.keys) == ["halved", "hooked"]
    assert "in a hook or a wrapper" in scenery.left_out["hooked"]
    halved = scenery.scene.models["halved"]
    clean, triggered = scenery.scene.predictions["halved"]
    precision = attack.manifest.cost.precision
    assert torch.equal(predict(halved, attack.test.images, precision=precision), clean)  # type: ignore[arg-type]
    images = attack.triggered.images
    assert torch.equal(predict(halved, images, precision=precision), triggered)  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_clean_twin_is_trained_once_and_without_the_backdoor(result_file: Path) -> None:
    attack = load_attack_result(result_file)
    scene = build_scene(attack, [], hardware("cpu")).scene
    twin, again = scene.clean_twin(), scene.clean_twin()
    for name, value in twin.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    assert len(list(result_file.parents[1].glob(".remembered/surrogate-*.pt"))) == 1
    assert accuracy(twin, attack.test.images, attack.test.labels) > 0.5
    attacked = attack.triggered.attacked_labels
    assert accuracy(twin, attack.triggered.images, attacked) < attack.metrics().asr
