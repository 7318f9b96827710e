"""Input detectors: on what they are fitted, how inputs arrive, what is turned away."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
import torch
from torch import Tensor

from benchbd.errors import ContractBroken
from benchbd.record.attack_result import AttackResult
from support.defenses import Run, Verb, guard, patched, require_clean_budget, weights, wipe


def test_an_input_detector_is_fitted_on_a_model_clean_images_and_chance(
    run: Run, stored: AttackResult
) -> None:
    handed: list[Any] = []
    result = run(guard(lambda images: patched(images).float(), lambda *given: handed.extend(given)))
    model, clean, rng = handed
    assert torch.equal(weights(model), weights(stored.model))
    require_clean_budget(clean, stored)
    assert isinstance(rng, torch.Generator)
    detection = result.cell.detection
    assert detection is not None
    assert (detection["auroc"], detection["tpr"], detection["fpr"], detection["threshold"]) == (
        1.0,
        1.0,
        0.0,
        0.0,
    )
    # every triggered image was turned away, so none is taken for anything; no clean one was
    assert (result.metrics.asr, result.metrics.rc, result.metrics.acc) == (
        0.0,
        0.0,
        stored.metrics().acc,
    )
    assert set(result.triggered_predictions.tolist()) == {2**16 - 1}
    assert torch.equal(result.clean_predictions, stored.clean_predictions)


@pytest.mark.parametrize("fpr", [0.0, 0.2, 1.0])
def test_the_threshold_and_what_is_turned_away_by_hand(
    run: Run, stored: AttackResult, fpr: float
) -> None:
    held: list[Tensor] = []

    def brightness(images: Tensor) -> Tensor:
        return images.double().mean((1, 2, 3))

    result = run(
        guard(brightness, lambda model, clean, rng: held.append(clean.validation.images), fpr=fpr)
    )
    validation = numpy.sort(brightness(held[0]).numpy())
    threshold = validation[int(numpy.ceil((len(validation) - 1) * (1 - fpr)))]
    clean, triggered = (
        brightness(images) > threshold for images in (stored.test.images, stored.triggered.images)
    )
    detection = result.cell.detection
    assert detection is not None
    assert detection["threshold"] == threshold
    assert detection["fpr"] == pytest.approx(float(clean.double().mean()))
    assert detection["tpr"] == pytest.approx(float(triggered.double().mean()))
    assert float((brightness(held[0]) > threshold).double().mean()) <= fpr
    hits = (stored.clean_predictions == stored.test.labels) & ~clean
    assert result.metrics.acc == pytest.approx(float(hits.double().mean()))
    attacked = (stored.triggered_predictions == 0) & ~triggered
    assert result.metrics.asr == pytest.approx(float(attacked.double().mean()))


def test_inputs_arrive_mixed_once_each_and_as_copies(run: Run, stored: AttackResult) -> None:
    batches: list[Tensor] = []

    def score(images: Tensor) -> Tensor:
        batches.append(images.clone())
        images.zero_()
        return torch.zeros(len(images))

    result = run(guard(score, lambda model, clean, rng: wipe(model)))
    arrived = torch.cat(batches[1:]).flatten(1)
    everything = torch.cat([stored.test.images, stored.triggered.images]).flatten(1)
    assert sorted(arrived.tolist()) == sorted(everything.tolist())
    assert all(0.1 < float(patched(batch).double().mean()) < 0.9 for batch in batches[1:])
    assert (result.metrics.acc, result.metrics.asr) == (stored.metrics().acc, stored.metrics().asr)
    assert torch.equal(weights(result.model), weights(stored.model))


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda images: torch.zeros(len(images) + 1), r"guard.score returned \(\d+,\) scores"),
        (lambda images: torch.full((len(images),), float("inf")), "scores that are not numbers"),
        (
            lambda images: images.double().mean((1, 2, 3)).numpy(),
            "guard.score returned a ndarray, expected a Tensor",
        ),
    ],
)
def test_input_detectors_that_break_the_contract(run: Run, act: Verb, message: str) -> None:
    with pytest.raises(ContractBroken, match=message):
        run(guard(act))
