"""Model detectors: what they are handed, what becomes of a verdict, what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from benchbd.api import CleanSet, ConfigError, ModelDetector, Verdict
from benchbd.defense.model_detector import attacked_classes
from benchbd.errors import ContractBroken
from benchbd.record.attack_result import AttackResult
from support.defenses import Constant, Run, Verb, judge, require_clean_budget, weights, wipe

NONE = torch.zeros(10, dtype=torch.bool)


def test_a_model_detector_is_handed_a_model_clean_images_and_chance(
    run: Run, stored: AttackResult
) -> None:
    def act(model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Verdict:
        assert torch.equal(weights(model), weights(stored.model))
        require_clean_budget(clean, stored)
        assert isinstance(rng, torch.Generator)
        wipe(model)
        return Verdict(torch.arange(10), torch.arange(10) > 7, notes={"norms": [1, 2]})

    result = run(judge(act))
    assert result.cell.detection == {
        "flagged": True,
        "flagged_classes": [8, 9],
        "attacked_classes": [0],
        "scores": [float(score) for score in range(10)],
    }
    assert result.cell.notes == {"norms": [1, 2]}
    # no repair was offered, so the model stays as it was, whatever was done to the copy
    assert result.metrics.model_copy(update={"der": None}) == stored.metrics()
    assert result.metrics.der == 0.5


def test_a_model_detector_that_flags_nothing_and_one_that_mends(
    run: Run, stored: AttackResult
) -> None:
    calm = run(judge(lambda *_: Verdict(torch.zeros(10), NONE)))
    assert calm.cell.detection == {
        "flagged": False,
        "flagged_classes": [],
        "attacked_classes": [0],
        "scores": [0.0] * 10,
    }
    mended = run(judge(lambda *_: Verdict(torch.zeros(10), ~NONE, repaired=Constant(4).eval())))
    assert mended.metrics.acc == float((stored.test.labels == 4).double().mean())


def test_of_a_sound_model_no_class_is_attacked(stored: AttackResult) -> None:
    attack = stored.manifest.attack.model_copy(update={"params": {"poison_ratio": 0.0}})
    sound = replace(stored, manifest=stored.manifest.model_copy(update={"attack": attack}))
    assert (attacked_classes(stored), attacked_classes(sound)) == ([0], [])


def test_a_model_detector_without_data_gets_none_and_knows_shape_and_classes(
    run: Run, stored: AttackResult
) -> None:
    def act(model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Verdict:
        original = stored.train.clean
        for part in (clean.train, clean.validation):
            assert (len(part), part.image_shape) == (0, original.image_shape)
            assert part.class_names == original.class_names
        return Verdict(torch.zeros(10), NONE)

    result = run(judge(act, holds_data=False))
    assert result.cell.cost.clean_samples == 0
    handed_data = run(judge(lambda *_: Verdict(torch.zeros(10), NONE)))
    assert handed_data.cell.cost.clean_samples > 0


def test_a_model_detector_without_data_takes_no_share_of_it(run: Run, stored: AttackResult) -> None:
    detector = judge(lambda *_: Verdict(torch.zeros(10), NONE), holds_data=False, ratio=0.1)
    assert isinstance(detector, ModelDetector)
    with pytest.raises(ConfigError, match="judge holds no clean data, so `ratio` has no meaning"):
        run(detector)
    with pytest.raises(ConfigError, match="leave it out"):
        detector.require_clean_data(stored.train.clean, 0.05)


def test_without_data_even_a_budget_that_gives_nothing_will_do(stored: AttackResult) -> None:
    blind = judge(lambda *_: None, holds_data=False)
    assert isinstance(blind, ModelDetector)
    blind.require_clean_data(stored.train.clean, 1e-6)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda *_: Verdict(torch.zeros(9), NONE),
            r"judge.inspect returned \(9,\) scores, expected \(10,\)",
        ),
        (lambda *_: Verdict(torch.full((10,), float("nan")), NONE), "scores that are not numbers"),
        (lambda *_: Verdict(torch.zeros(10), NONE[:3]), r"returned \(3,\) scores"),
        (
            lambda *_: Verdict(torch.zeros(10), NONE, repaired=Constant(0)),
            "judge.inspect returned a model in training mode",
        ),
        (lambda *_: torch.zeros(10), "judge.inspect returned a Tensor, expected a Verdict"),
    ],
)
def test_model_detectors_that_break_the_contract(run: Run, act: Verb, message: str) -> None:
    with pytest.raises(ContractBroken, match=message):
        run(judge(act))
