"""Relearning: a model that still has the backdoor takes it up before a clean one learns it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch

from benchbd.api import BACKDOORED, NotApplicable, Recipe, Scene, accuracy, fit
from benchbd.testing import tiny_data
from benchbd.testing.trial import VerbInputs, hand_over
from benchbd_zoo.analysis.retune import TWINS, Retune


@pytest.fixture(scope="module")
def handed() -> VerbInputs:
    return hand_over()


@pytest.fixture(scope="module")
def scene(handed: VerbInputs) -> Scene:
    """The backdoored model, and twins that were trained on the same clean images."""
    train = tiny_data.images()

    def sound(number: int = 0) -> torch.nn.Module:
        build = tiny_data.builder("residual", 50 + number)
        return fit(build(), train, tiny_data.TINY_RECIPE, torch.Generator().manual_seed(number))

    models = {BACKDOORED: handed.model}
    return replace(handed.scene, models=models, clean_train=train, clean_twin=cache(sound))  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_backdoor_that_is_there_needs_no_sample_and_the_twins_do(scene: Scene) -> None:
    tuning = Retune(samples=0, counts=(0, 2), share=0.2, epochs=2)
    numbers = tuning.look(scene, torch.Generator().manual_seed(0)).numbers
    assert numbers[BACKDOORED]["asr_tuned"] > 0.9
    assert numbers[BACKDOORED]["gain"] == pytest.approx(
        numbers[BACKDOORED]["asr_tuned"] - numbers[TWINS]["asr_tuned"]
    )


@pytest.mark.slow
def test_without_an_epoch_nothing_is_relearned(scene: Scene) -> None:
    """The gain is then the ASR less that of the twins, each counted here."""
    images, attacked = scene.triggered.images, scene.triggered.attacked_labels
    numbers = Retune(epochs=0, counts=(0, 5)).look(scene, torch.Generator()).numbers
    asr = accuracy(scene.models[BACKDOORED], images, attacked)
    twins = [accuracy(scene.clean_twin(number), images, attacked) for number in range(3)]
    assert numbers[BACKDOORED]["asr_tuned"] == pytest.approx(asr)
    assert numbers[BACKDOORED]["gain"] == pytest.approx(asr - sum(twins) / 3)
    assert numbers[TWINS]["spread"] == pytest.approx(max(twins) - min(twins))


@pytest.mark.slow
def test_no_triggered_sample_is_tuning_on_clean_images_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []

    def noted(model: torch.nn.Module, train, recipe: Recipe, rng: torch.Generator, **more):  # type: ignore[no-untyped-def]
        seen.append(train.images)
        return model.eval()

    monkeypatch.setattr("benchbd_zoo.analysis.retune.fit", noted)
    Retune(samples=0, counts=(0, 3), share=0.1, twins=2).look(
        scene, torch.Generator().manual_seed(0)
    )
    sizes = [len(images) for images in seen]
    assert sizes[:2] == [20, 23] and len(sizes) == 2 * 3, (
        "a tenth of 200 clean images, then three with the trigger"
    )
    clean, stamped = seen[0], seen[1][20:]
    assert torch.equal(seen[1][:20], clean)
    assert bool((stamped[:, :, 13:19, 13:19] == 255).all())


def test_too_few_images_for_the_trigger(scene: Scene) -> None:
    with pytest.raises(NotApplicable, match="500 triggered samples are wanted"):
        Retune(counts=(500,)).look(scene, torch.Generator())
