"""Every family of defenses: what it is handed, what becomes of its answer, what is refused."""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from typing import Any

import numpy
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import (
    CleanSet,
    DataFilter,
    ImageSet,
    InputDetector,
    Learned,
    ModelDetector,
    NotApplicable,
    Recipe,
    Repair,
    Repaired,
    RobustTraining,
    Suspicion,
    TrainingControlledAttack,
    Verdict,
    fit,
    param,
)
from benchbd.defense import data_filter
from benchbd.defense.defense import Defense
from benchbd.errors import ConfigError, ContractBroken
from benchbd.record.attack_result import AttackResult, load_attack_result
from benchbd.record.defense_result import DefenseResult, read_defense_result
from benchbd.running.attack_job import AttackJob
from benchbd.running.attacking import make

Verb = Callable[..., Any]
Run = Callable[..., DefenseResult]


def mend(act: Verb, **params: Any) -> Defense:
    class Mend(Repair):
        api = 1
        name = "mend"

        def repair(self, *handed: Any) -> Any:
            return act(*handed)

    return Mend(**params)


def school(act: Verb) -> Defense:
    class School(RobustTraining):
        api = 1
        name = "school"

        def train(self, *handed: Any) -> Any:
            return act(*handed)

    return School()


def sieve(act: Verb) -> Defense:
    class Sieve(DataFilter):
        api = 1
        name = "sieve"

        def score(self, *handed: Any) -> Any:
            return act(*handed)

    return Sieve()


class Door:
    """A scorer that scores with a function."""

    def __init__(self, act: Verb) -> None:
        self.act = act

    def score(self, images: Tensor) -> Any:
        return self.act(images)


def guard(act: Verb, prepare: Verb = lambda *_: None, **params: Any) -> Defense:
    class Guard(InputDetector):
        api = 1
        name = "guard"

        def fit(self, *handed: Any) -> Door:
            prepare(*handed)
            return Door(act)

    return Guard(**params)


def judge(act: Verb) -> Defense:
    class Judge(ModelDetector):
        api = 1
        name = "judge"

        def inspect(self, *handed: Any) -> Any:
            return act(*handed)

    return Judge()


class Constant(nn.Module):
    """Takes every image for one class."""

    def __init__(self, answer: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.eye(10)[answer])

    def forward(self, images: Tensor) -> Tensor:
        return self.logits.expand(len(images), -1)


@pytest.fixture
def run(stored: AttackResult, tmp_path_factory: pytest.TempPathFactory) -> Run:
    def defend(defense: Defense, **options: Any) -> DefenseResult:
        folder = tmp_path_factory.mktemp("defense")
        return defense.defense(stored.path, device="cpu", save_path=folder, **options)

    return defend


def weights(model: nn.Module) -> Tensor:
    return torch.cat([value.detach().double().flatten() for value in model.state_dict().values()])


def wipe(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    return model


def patched(images: Tensor) -> Tensor:
    """Whether (N,) the white square of the stored attack is there."""
    return (images[:, :, 6:, 6:] == 255).flatten(1).all(1)


def random_states() -> tuple[Any, ...]:
    return (
        torch.get_rng_state().tolist(),
        numpy.random.get_state(legacy=False)["state"]["key"].tolist(),
        random.getstate(),
    )


def require_clean_budget(clean: CleanSet, stored: AttackResult, share: float = 0.05) -> None:
    """True training images with their labels, none of them poisoned, the same share of
    each class.
    """
    original = stored.train.clean
    poisoned = set(stored.train.indices.tolist())
    for part in (clean.train, clean.validation):
        for image, label in zip(part.images, part.labels, strict=True):
            places = torch.nonzero((original.images == image).flatten(1).all(1))[:, 0].tolist()
            assert any(
                int(original.labels[place]) == int(label) and place not in poisoned
                for place in places
            )
    held = torch.bincount(clean.all().labels, minlength=10)
    assert held.tolist() == [
        round(share * count) for count in torch.bincount(original.labels).tolist()
    ]


def test_a_repair_is_handed_a_model_clean_images_and_chance(run: Run, stored: AttackResult) -> None:
    handed: list[Any] = []

    def act(*given: Any) -> nn.Module:
        handed.extend(given)
        return given[0]  # type: ignore[no-any-return]

    result = run(mend(act))
    model, clean, rng = handed
    assert torch.equal(weights(model), weights(stored.model))
    assert not any(module.training for module in model.modules())
    assert isinstance(clean, CleanSet)
    require_clean_budget(clean, stored)
    assert isinstance(rng, torch.Generator)
    assert result.cell.cost.clean_samples == len(clean)
    assert result.metrics.model_copy(update={"der": None}) == result.baseline == stored.metrics()


def test_what_a_repair_scribbles_on_stays_with_it(run: Run, stored: AttackResult) -> None:
    before = stored.path.read_bytes()

    def act(model: nn.Module, clean: CleanSet, rng: torch.Generator) -> nn.Module:
        for part in (clean.train, clean.validation):
            part.images.zero_()
            part.labels.zero_()
        return wipe(model)

    result = run(mend(act))
    assert stored.path.read_bytes() == before
    assert result.baseline == stored.metrics()
    # all logits are equal, so every image is taken for class 0, the target
    share = float((stored.test.labels == 0).double().mean())
    assert (result.metrics.acc, result.metrics.asr, result.metrics.rc) == (share, 1.0, 0.0)


@pytest.mark.parametrize("answer", [0, 7])
def test_metrics_by_hand(run: Run, stored: AttackResult, answer: int) -> None:
    metrics, baseline = run(mend(lambda *_: Constant(answer).eval())).metrics, stored.metrics()
    assert metrics.acc == float((stored.test.labels == answer).double().mean())
    assert metrics.asr == float(answer == 0)
    assert metrics.rc == float((stored.triggered.true_labels == answer).double().mean())
    assert baseline.asr is not None
    drops = max(0.0, baseline.asr - metrics.asr), max(0.0, baseline.acc - metrics.acc)
    assert metrics.der == pytest.approx((drops[0] - drops[1] + 1) / 2)


def test_all_defenses_of_a_seed_hold_the_same_images_and_draw_their_own_numbers(run: Run) -> None:
    held: list[Tensor] = []
    drawn: list[float] = []

    def act(model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Any:
        held.append(clean.all().images)
        drawn.append(float(torch.rand((), generator=rng)))
        return (
            Verdict(torch.zeros(10), torch.zeros(10, dtype=torch.bool)) if len(held) == 3 else model
        )

    for defense in (mend(act), mend(act), judge(act)):
        run(defense)
    assert torch.equal(held[0], held[1])
    assert torch.equal(held[0], held[2])
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_budget_of_the_call_and_of_the_defense(
    run: Run, stored: AttackResult, tmp_path: Any
) -> None:
    sizes: list[int] = []

    def act(model: nn.Module, clean: CleanSet, rng: torch.Generator) -> nn.Module:
        sizes.append(len(clean))
        return model

    (tmp_path / "index.txt").write_text("\n".join(str(place) for place in range(30)))
    run(mend(act), clean_budget=0.1)
    run(mend(act, ratio=0.2), clean_budget=0.1)
    run(mend(act, index=tmp_path / "index.txt"))
    counts = torch.bincount(stored.train.clean.labels).tolist()
    assert sizes == [
        sum(round(0.1 * count) for count in counts),
        sum(round(0.2 * count) for count in counts),
        30,
    ]
    with pytest.raises(ConfigError, match=r"clean budget of 0\.001"):
        run(mend(act, ratio=0.001))


def test_global_chance_is_the_same_at_each_run_and_as_before_afterwards(run: Run) -> None:
    drawn: list[tuple[float, ...]] = []

    def act(model: nn.Module, clean: CleanSet, rng: torch.Generator) -> nn.Module:
        drawn.append((float(torch.rand(())), float(numpy.random.rand()), random.random()))
        return model

    before = random_states()
    run(mend(act))
    assert random_states() == before
    torch.rand(1)
    run(mend(act))
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda model, *_: model.train(), "mend.repair returned a model in training mode"),
        (lambda model, *_: model.network.train() and model, r"training mode \(network\)"),
        (lambda *_: None, "mend.repair returned a NoneType"),
        (lambda model, *_: Repaired(model.state_dict()), "mend.repair returned a OrderedDict"),
        (
            lambda model, *_: Repaired(model, notes={"loss": float("nan")}),
            "mend left notes that are not plain values",
        ),
        (
            lambda model, *_: Repaired(model, notes={"mask": torch.ones(2)}),
            "mend left notes that are not plain values",
        ),
    ],
)
def test_repairs_that_break_the_contract(run: Run, act: Verb, message: str) -> None:
    with pytest.raises(ContractBroken, match=message):
        run(mend(act))


def test_what_is_measured_along_the_way_is_no_cost_of_the_method(
    run: Run, stored: AttackResult
) -> None:
    def act(model: nn.Module, clean: CleanSet, rng: torch.Generator) -> nn.Module:
        return fit(
            model, clean.all(), Recipe(epochs=4, batch_size=32, lr=0.01, precision="fp32"), rng
        )

    plain, watched = run(mend(act)), run(mend(act), evaluate_every=2)
    assert plain.cell.curves == ()
    (curve,) = watched.cell.curves
    assert (curve.name, curve.axis, [point.value for point in curve.points]) == (
        "epochs",
        "epoch",
        [2.0, 4.0],
    )
    assert (curve.points[-1].acc, curve.points[-1].asr) == (
        watched.metrics.acc,
        watched.metrics.asr,
    )
    assert plain.metrics == watched.metrics
    steps = 4 * (plain.cell.cost.clean_samples // 32) * 32
    assert {result.cell.cost.forward_samples for result in (plain, watched)} == {steps}
    assert {result.cell.cost.backward_samples for result in (plain, watched)} == {steps}
    assert plain.cell.key == watched.cell.key


def test_the_script_form(stored: AttackResult, tmp_path: Any) -> None:
    class Script(Repair):
        api = 1
        name = "script"

        answer: int = param(0, "the class to answer", ge=0)

        def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> nn.Module:
            return Constant(self.answer).eval()

    parser = Script.add_arguments(argparse.ArgumentParser())
    args = parser.parse_args(["--answer", "7", "--result_file", str(stored.path)])
    result = Script(args).defense(  # type: ignore[call-arg, arg-type]
        args.result_file, device="cpu", save_path=tmp_path
    )
    assert result.metrics.acc == float((stored.test.labels == 7).double().mean())
    assert result.cell.cell.defense.params["answer"] == 7


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


@pytest.fixture
def retrained(monkeypatch: pytest.MonkeyPatch) -> list[ImageSet]:
    """The sets on which the core trains again, in place of the training."""
    sets: list[ImageSet] = []

    def instead(
        model: nn.Module, train: ImageSet, recipe: Recipe, rng: torch.Generator, **_: Any
    ) -> nn.Module:
        sets.append(train)
        return model.eval()

    monkeypatch.setattr(data_filter, "fit", instead)
    return sets


def test_a_data_filter_is_handed_the_set_as_seen_a_model_clean_images_and_chance(
    run: Run, stored: AttackResult, retrained: list[ImageSet]
) -> None:
    def act(seen: ImageSet, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Suspicion:
        assert seen.fingerprint() == stored.train.as_seen().fingerprint()
        assert torch.equal(weights(model), weights(stored.model))
        require_clean_budget(clean, stored)
        assert isinstance(rng, torch.Generator)
        return Suspicion(patched(seen.images).double(), 0.5, {"by": "eye"})

    result = run(sieve(act))
    count = stored.manifest.counts.poisoned
    perfect = {"auroc": 1.0, "tpr_at_1_fpr": 1.0, "tpr_at_5_fpr": 1.0, "tpr_at_10_fpr": 1.0}
    flags = {
        "tpr": 1.0,
        "fpr": 0.0,
        "precision": 1.0,
        "recall": 1.0,
        "classes_emptied": [],
        "removed": count,
    }
    assert result.cell.detection == perfect | flags
    assert result.cell.notes == {"by": "eye"}
    assert (
        retrained[0].fingerprint()
        == stored.train.clean.subset(stored.train.untouched()).fingerprint()
    )


def test_the_core_trains_again_and_the_backdoor_is_gone(run: Run, stored: AttackResult) -> None:
    result = run(sieve(lambda seen, *_: Suspicion(patched(seen.images).float(), 0.5)))
    assert result.metrics.asr is not None
    assert result.baseline.asr is not None
    assert result.metrics.asr < 0.3 < result.baseline.asr
    assert not torch.equal(weights(result.model), weights(stored.model))


def test_figures_of_a_data_filter_by_hand(
    run: Run, stored: AttackResult, retrained: list[ImageSet]
) -> None:
    count = len(stored.train)
    result = run(sieve(lambda *_: Suspicion(torch.arange(count), count - 101)))
    bad = set(stored.train.indices.tolist())
    hits = len(bad & set(range(count - 100, count)))
    detection = result.cell.detection
    assert detection is not None
    assert detection["removed"] == 100
    assert detection["precision"] == pytest.approx(hits / 100)
    assert detection["tpr"] == detection["recall"] == pytest.approx(hits / len(bad))
    assert detection["fpr"] == pytest.approx((100 - hits) / (count - len(bad)))
    assert len(retrained[0]) == count - 100


@pytest.mark.parametrize("left", [0, 1])
def test_a_data_filter_that_leaves_nothing_is_told_so(
    run: Run, stored: AttackResult, left: int
) -> None:
    count = len(stored.train)
    message = (
        f"sieve flagged {count - left} of {count} training samples, which leaves nothing to train "
        "on"
    )
    with pytest.raises(ConfigError, match=message):
        run(sieve(lambda *_: Suspicion(torch.arange(count), left - 0.5)))


def test_a_class_may_go_as_a_whole(
    run: Run, stored: AttackResult, retrained: list[ImageSet]
) -> None:
    result = run(sieve(lambda seen, *_: Suspicion((seen.labels == 3).double(), 0.5)))
    assert result.cell.detection is not None
    assert result.cell.detection["classes_emptied"] == [3]
    assert (retrained[0].labels != 3).all() and retrained[0].num_classes == 10


def test_what_a_data_filter_scribbles_on_does_not_reach_the_second_training(
    run: Run, stored: AttackResult, retrained: list[ImageSet]
) -> None:
    def act(seen: ImageSet, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Suspicion:
        wipe(model)
        for images in (seen, clean.train):
            images.images.zero_()
            images.labels.zero_()
        return Suspicion(torch.zeros(len(seen)), 0.5)

    run(sieve(act))
    assert retrained[0].fingerprint() == stored.train.as_seen().fingerprint()


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda seen, *_: Suspicion(torch.zeros(len(seen) - 1), 0.0),
            r"sieve.score returned \(\d+,\) scores, expected \(\d+,\)",
        ),
        (
            lambda seen, *_: Suspicion(torch.zeros(len(seen), 1), 0.0),
            "one for each sample, in order",
        ),
        (
            lambda seen, *_: Suspicion(torch.full((len(seen),), float("nan")), 0.0),
            "scores that are not numbers",
        ),
        (lambda seen, *_: Suspicion([0.0] * len(seen), 0.0), "sieve.score returned a list"),  # type: ignore[arg-type]
        (
            lambda seen, *_: torch.zeros(len(seen)),
            "sieve.score returned a Tensor, expected a Suspicion",
        ),
    ],
)
def test_data_filters_that_break_the_contract(run: Run, act: Verb, message: str) -> None:
    with pytest.raises(ContractBroken, match=message):
        run(sieve(act))


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
    assert calm.cell.detection == {"flagged": False, "flagged_classes": [], "scores": [0.0] * 10}
    mended = run(judge(lambda *_: Verdict(torch.zeros(10), ~NONE, repaired=Constant(4).eval())))
    assert mended.metrics.acc == float((stored.test.labels == 4).double().mean())


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


class Controlled(TrainingControlledAttack):
    api = 1
    name = "controlled"

    def train(
        self, model: nn.Module, clean_train: ImageSet, recipe: Recipe, rng: torch.Generator
    ) -> nn.Module:
        return model.eval()

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return 255 - images


@pytest.fixture(scope="module")
def controlled(
    tmp_path_factory: pytest.TempPathFactory,
    job_of: Callable[[TrainingControlledAttack], AttackJob],
) -> AttackResult:
    return make(job_of(Controlled()), tmp_path_factory.mktemp("controlled"))


@pytest.mark.parametrize(
    "defense",
    [school(lambda *_: None), sieve(lambda *_: None)],
    ids=["robust training", "data filter"],
)
def test_without_a_poisoned_set_there_is_nothing_to_train_on_or_to_filter(
    controlled: AttackResult, defense: Defense
) -> None:
    with pytest.raises(
        NotApplicable,
        match=f"controlled controls training itself and leaves no poisoned set for {defense.name}",
    ):
        defense.defense(controlled.path, device="cpu")
    assert not (controlled.folder / "defense").exists()


def test_a_repair_applies_to_a_training_controlled_attack(
    controlled: AttackResult, tmp_path: Any
) -> None:
    assert len(controlled.train.indices) == 0
    result = mend(lambda model, *_: model).defense(
        controlled.path, device="cpu", save_path=tmp_path
    )
    assert result.metrics.acc == controlled.metrics().acc
