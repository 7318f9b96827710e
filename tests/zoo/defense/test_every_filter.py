"""The rules that every data filter keeps on a model with a planted backdoor. A filter joins by
being registered.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import cast

import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from benchbd.api import DataFilter, ImageSet, Recipe, Suspicion
from benchbd.data.budget import CleanSet, draw_budget
from benchbd.data.poisoned import State
from benchbd.measure.detection import separation
from benchbd.plugin import registry
from benchbd.record.attack_result import AttackResult
from benchbd.running.attack_job import AttackJob
from benchbd.running.attacking import make
from benchbd.testing.networks import Residual
from benchbd.testing.subject import quick
from benchbd.testing.tiny_data import Patch, PlantedImages

LOADED = {
    entry.name: registry.load("defense", entry.name)
    for entry in registry.entries("defense")
    if entry.provider == "benchbd"
}
FILTERS = {
    name: cast(type[DataFilter], cls) for name, cls in LOADED.items() if issubclass(cls, DataFilter)
}

DRAWS_NOTHING = {"spectral_signatures", "spectre"}
"""Filters that promise the same scores in whatever order the samples come."""

ABOVE_CHANCE = 0.6
Judge = Callable[..., Suspicion]


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> AttackResult:
    """200 images of which 10 carry a white square and the label 0; the model has learned both
    tasks.
    """
    recipe = Recipe(epochs=10, batch_size=20, lr=0.05, shift=0, precision="fp32")
    result = make(
        AttackJob(
            PlantedImages(), Residual(), Patch(poison_ratio=0.05), recipe, seed=0, device="cpu"
        ),
        tmp_path_factory.mktemp("attacked"),
    )
    assert (result.metrics().acc, result.metrics().asr) == (1, 1)
    return result


@pytest.fixture(scope="module")
def clean(attacked: AttackResult) -> CleanSet:
    return draw_budget(
        attacked.train.clean, attacked.train.untouched(), 0.2, torch.Generator().manual_seed(0)
    )


@pytest.fixture(scope="module")
def judged(attacked: AttackResult, clean: CleanSet) -> Judge:
    """`judged(name)`: what a filter says of the training set, or of `train`; the plain answer is
    made once.
    """
    known: dict[str, Suspicion] = {}

    def judge(
        name: str, train: ImageSet | None = None, model: nn.Module | None = None
    ) -> Suspicion:
        plain = train is None and model is None
        if plain and name in known:
            return known[name]
        method, rng = FILTERS[name](**quick(FILTERS[name])), torch.Generator().manual_seed(0)
        found = method.score(
            train or attacked.train.as_seen(), model or copy.deepcopy(attacked.model), clean, rng
        )
        return known.setdefault(name, found) if plain else found

    return judge


@pytest.fixture(scope="module")
def bad(attacked: AttackResult) -> Tensor:
    return attacked.train.state() == State.POISONED


def test_the_first_filters_are_registered() -> None:
    assert {"activation_clustering", "scan", "spectral_signatures", "spectre"} <= set(FILTERS)
    assert set(FILTERS) >= DRAWS_NOTHING


@pytest.mark.slow
@pytest.mark.parametrize("name", FILTERS)
def test_there_is_a_finite_score_for_every_sample_and_a_finite_threshold(
    judged: Judge, bad: Tensor, name: str
) -> None:
    found = judged(name)
    assert found.scores.shape == bad.shape
    assert torch.isfinite(found.scores).all()
    assert torch.isfinite(torch.tensor(found.threshold))


@pytest.mark.slow
@pytest.mark.parametrize("name", FILTERS)
def test_planted_poison_scores_above_chance(judged: Judge, bad: Tensor, name: str) -> None:
    scores = judged(name).scores
    auroc = separation(scores[~bad], scores[bad])["auroc"]
    assert auroc is not None and auroc > ABOVE_CHANCE


@pytest.mark.slow
@pytest.mark.parametrize("name", FILTERS)
def test_it_never_flags_everything(judged: Judge, name: str) -> None:
    found = judged(name)
    assert float((found.scores > found.threshold).double().mean()) < 0.6


@pytest.mark.slow
@pytest.mark.parametrize("name", FILTERS)
def test_scores_go_with_their_samples(
    judged: Judge, attacked: AttackResult, bad: Tensor, name: str
) -> None:
    """In another order every sample keeps its score, or about its place where the method draws
    numbers on its way.
    """
    order = torch.randperm(len(bad), generator=torch.Generator().manual_seed(1))
    plain, turned = (
        judged(name).scores[order],
        judged(name, attacked.train.as_seen().subset(order)).scores,
    )
    if name in DRAWS_NOTHING:
        torch.testing.assert_close(turned, plain, rtol=1e-4, atol=1e-6)
    assert spearmanr(plain, turned).statistic > 0.5
    before, after = (
        separation(scores[~bad[order]], scores[bad[order]])["auroc"] for scores in (plain, turned)
    )
    assert after == pytest.approx(before, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILTERS)
def test_images_pass_through_the_model_in_batches(
    judged: Judge, attacked: AttackResult, name: str
) -> None:
    sizes: list[int] = []
    model = copy.deepcopy(attacked.model)
    model.network.body.register_forward_pre_hook(
        lambda module, inputs: sizes.append(len(inputs[0]))
    )
    judged(name, model=model)
    assert sizes and 1 not in sizes
    assert sum(sizes) / len(sizes) >= 16
