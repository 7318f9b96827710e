"""Robust training: what it is handed, what becomes of its answer, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import ImageSet, Learned, Recipe, Suspicion, fit
from benchbd.errors import ContractBroken
from benchbd.record.attack_result import AttackResult, load_attack_result
from benchbd.record.defense_result import read_defense_result
from support.defenses import Constant, Run, Verb, patched, school, weights


@pytest.mark.slow
def test_robust_training_is_handed_the_set_as_seen_a_builder_the_recipe_and_chance(
    run: Run, stored: AttackResult
) -> None:
    handed: list[Any] = []
    built: list[Tensor] = []

    def act(*given: Any) -> nn.Module:
        handed.append(given)
        models = [given[0](), given[0]()]
        built.append(torch.stack([weights(model) for model in models]))
        return models[0].eval()  # type: ignore[no-any-return]

    for _ in range(2):
        run(school(act))
    _, seen, recipe, rng = handed[0]
    assert isinstance(seen, ImageSet)
    assert seen.fingerprint() == stored.train.as_seen().fingerprint()
    assert recipe == Recipe(**stored.manifest.recipe)
    assert isinstance(rng, torch.Generator)
    assert torch.equal(built[0], built[1])
    assert not torch.equal(built[0][0], built[0][1])
    assert built[0].shape[1] == len(weights(stored.model))
    assert not torch.equal(built[0][0], weights(stored.model))


def test_what_robust_training_scribbles_on_stays_with_it(run: Run, stored: AttackResult) -> None:
    def act(build: Any, seen: ImageSet, recipe: Recipe, rng: torch.Generator) -> nn.Module:
        seen.images.zero_()
        seen.labels.zero_()
        return Constant(3).eval()

    result = run(school(act))
    assert result.metrics.acc == float((stored.test.labels == 3).double().mean())
    assert result.baseline == stored.metrics()
    assert (
        load_attack_result(stored.path).train.as_seen().fingerprint()
        == stored.train.as_seen().fingerprint()
    )


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda build, *_: build().train(), "school.train returned a model in training mode"),
        (lambda *_: None, "school.train returned a NoneType"),
        (lambda *_: Learned(None), "school.train returned a NoneType"),  # type: ignore[arg-type]
        (
            lambda build, *_: Learned(build().eval(), Suspicion(torch.zeros(3), 0)),
            r"school.train returned \(3,\) scores",
        ),
    ],
)
def test_robust_training_that_breaks_the_contract(run: Run, act: Verb, message: str) -> None:
    with pytest.raises(ContractBroken, match=message):
        run(school(act))


def test_what_robust_training_thought_of_the_samples_is_measured(
    run: Run, stored: AttackResult
) -> None:
    def act(build: Any, seen: ImageSet, *_: Any) -> Learned:
        return Learned(build().eval(), Suspicion(patched(seen.images).double(), 0.5), {"by": "eye"})

    result = run(school(act))
    count = stored.manifest.counts.poisoned
    assert result.cell.detection is not None
    assert [
        result.cell.detection[name] for name in ("auroc", "precision", "recall", "isolated")
    ] == [1, 1, 1, count]
    assert result.cell.notes == {"by": "eye"}
    assert run(school(lambda build, *_: build().eval())).cell.detection is None


class Stamping(nn.Module):
    """Puts a white corner on whatever comes, and answers with class 2 where it sees one."""

    def __init__(self, trained: nn.Module) -> None:
        super().__init__()
        self.trained, self.white_before = trained, 0

    def forward(self, images: Tensor) -> Tensor:
        self.white_before += int((images[:, 0, 0, 0] == 1).sum())
        stamped = images.clone()
        stamped[:, :, 0, 0] = 1
        return F.one_hot(
            torch.where(stamped[:, 0, 0, 0] == 1, 2, 0), self.trained(stamped).shape[1]
        ).float()


@pytest.mark.slow
def test_stages_without_labels_pseudo_labels_and_a_stamp_at_test_time_fit_in(
    run: Run, stored: AttackResult
) -> None:
    told: list[Tensor] = []
    defended: list[Stamping] = []

    def agreement(model: Any, images: Tensor, labels: Tensor) -> Tensor:
        return (model.features(images) - model.features(images.flip(3))).float().square().mean()  # type: ignore[no-any-return]

    def told_labels(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        told.append(labels)
        return F.cross_entropy(model(images).float(), labels)

    def act(build: Any, seen: ImageSet, recipe: Recipe, rng: torch.Generator) -> nn.Module:
        short = recipe.beginning(1)
        model = fit(build(), seen, short, rng, loss=agreement)
        fit(
            model,
            ImageSet(seen.images, torch.full_like(seen.labels, 3), seen.class_names),
            short,
            rng,
            loss=told_labels,
        )
        defended.append(Stamping(model))
        return defended[0].eval()

    result = run(school(act))
    assert torch.cat(told).unique().tolist() == [3]
    assert result.metrics.acc == float((stored.test.labels == 2).double().mean())
    assert (
        defended[0].white_before == 0
    )  # the corner of no test image is white: the stamp is the model's own
    names = list(read_defense_result(result.path)["model"])
    assert names and all(name.startswith("trained.") for name in names)
