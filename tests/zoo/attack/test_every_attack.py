"""The rules that every attack keeps, whatever its trigger. An attack joins by being registered."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchbd.attack.attack import Attack
from benchbd.attack.poisoning import PoisoningAttack
from benchbd.attack.training_controlled import Trained, TrainingControlledAttack
from benchbd.data.images import ImageSet
from benchbd.data.poisoned import State
from benchbd.engine.recipe import Recipe
from benchbd.errors import ConfigError, NotApplicable
from benchbd.plugin import registry
from benchbd.testing.subject import quick
from support.lanes import slow_but

NAMES = [
    e.name
    for e in registry.entries("attack")
    if e.provider == "benchbd" and e.card.get("role") != "imported"
]
"""All but the one that stands for attacks run elsewhere, which has no trigger of its own."""

CLASSES = {name: cast(type[Attack], registry.load("attack", name)) for name in NAMES}
POISONING = [name for name, cls in CLASSES.items() if issubclass(cls, PoisoningAttack)]
TRAINING = [name for name, cls in CLASSES.items() if issubclass(cls, TrainingControlledAttack)]
DRAWING = [name for name in POISONING if CLASSES[name]().poison_ratio > 0]
"""Those that choose samples to poison; the control does not."""
CHOOSY = [name for name in POISONING if cast(PoisoningAttack, CLASSES[name]()).eligible != "all"]
"""Those that may not poison every sample, so that a ratio can ask for too many."""

SHAPES = [(3, 16, 16), (1, 8, 8), (3, 14, 20)]
ELIGIBLE = {"target": {1}, "non_target": {0, 2}, "all": {0, 1, 2}, "source": {2}}
"""Which of the three classes, 20 images of each, may be poisoned when the target is 1."""

SOURCES = {"tact": {2}}
"""Attacks that work on some classes alone, and which are attacked when the target is 1."""

REFUSED = {("low_frequency", (1, 8, 8)): "no image drawn could be moved towards the target"}
"""Attacks and shapes of images that do not go together, and why."""

FORMULAS = [
    name
    for name in NAMES
    if not CLASSES[name].learns_trigger and "trains" not in registry.find("attack", name).card
]
"""Those whose trigger is stamped without a network."""

FAST = ("badnet", "clean", "wanet")
"""What stands for the others in the fast lane: a patch, the control, one that controls training."""

Ready = Callable[..., Any]


@pytest.fixture(scope="session")
def made(prepared: Ready, build_for: Ready, short: Recipe) -> Ready:
    """`made(name, train, seed)`: the attack with its trigger, drawn and, where it is learned in
    training, learned.

    Its parameters are those by which it is done in a moment, unless others are given.
    """

    def make(name: str, train: ImageSet, seed: int = 0, **parameters: Any) -> Attack:
        attack: Attack = prepared(CLASSES[name](**quick(CLASSES[name]) | parameters), train, seed)
        if isinstance(attack, TrainingControlledAttack):
            answer = attack.train(build_for(train), train, short, seeded(seed))
            return attack.with_trigger(answer.trigger) if isinstance(answer, Trained) else attack
        return attack

    return make


@pytest.fixture(scope="session")
def ready(made: Ready) -> Ready:
    """The same, made once for the same images, seed and parameters."""
    known: dict[object, Attack] = {}

    def recall(name: str, train: ImageSet, seed: int = 0, **parameters: Any) -> Attack:
        what = (name, train.fingerprint(), seed, *sorted(parameters.items()))
        if what not in known:
            known[what] = made(name, train, seed, **parameters)
        return known[what]

    return recall


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def weights(answer: nn.Module | Trained) -> list[Tensor]:
    model = answer.model if isinstance(answer, Trained) else answer
    return [weight.detach().clone() for weight in model.parameters()]


def alike(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_the_first_attacks_are_registered() -> None:
    assert {"badnet", "blended", "clean", "sig", "wanet"} <= set(NAMES)
    assert set(NAMES) == {*POISONING, *TRAINING}


@pytest.mark.parametrize("name", slow_but(NAMES, *FAST))
def test_its_parameters_rebuild_it(name: str) -> None:
    attack = CLASSES[name](target=2)
    assert CLASSES[name](**attack.params).params == attack.params


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", slow_but(NAMES, *FAST))
def test_stamping_keeps_shape_and_input(
    ready: Ready, images_of: Ready, name: str, shape: tuple[int, int, int]
) -> None:
    images = images_of(*shape)
    before, labels = images.images.clone(), images.labels.clone()
    if (name, shape) in REFUSED:
        with pytest.raises(NotApplicable, match=REFUSED[name, shape]):
            ready(name, images)
        return
    attack = ready(name, images)
    stamped = attack.apply(attack.stamp, images.images, images.labels, seeded(0))
    assert stamped.shape == before.shape
    assert stamped.dtype == torch.uint8
    assert torch.equal(images.images, before)
    assert torch.equal(images.labels, labels)
    assert torch.equal(stamped, before) == (name == "clean")


@pytest.mark.parametrize("name", slow_but(FORMULAS, *FAST))
def test_large_images_are_stamped_like_small_ones(
    prepared: Ready, images_of: Ready, name: str
) -> None:
    images = images_of(3, 224, 224).subset(torch.arange(6))
    attack = prepared(CLASSES[name](**quick(CLASSES[name])), images, 0)
    stamped = attack.apply(attack.stamp, images.images, images.labels, seeded(0))
    assert stamped.shape == images.images.shape
    assert torch.equal(stamped, images.images) == (name == "clean")


@pytest.mark.parametrize("name", slow_but(NAMES, *FAST))
def test_a_seed_gives_the_same_bytes(made: Ready, images: ImageSet, name: str) -> None:
    first, again = (made(name, images, seed=5).triggered(images, seeded(3)) for _ in range(2))
    assert torch.equal(first.images, again.images)


@pytest.mark.parametrize("name", slow_but(NAMES, *FAST))
def test_stamping_does_not_depend_on_the_size_of_batches(
    ready: Ready, images: ImageSet, name: str
) -> None:
    attack = ready(name, images)
    whole = attack.apply(attack.stamp, images.images, images.labels, seeded(0))
    rng = seeded(0)
    parts = zip(images.images.split(7), images.labels.split(7), strict=True)
    assert torch.equal(
        torch.cat([attack.apply(attack.stamp, part, labels, rng) for part, labels in parts]), whole
    )


@pytest.mark.parametrize("name", slow_but(NAMES, *FAST))
def test_the_triggered_set_holds_every_image_not_yet_of_the_attacked_label(
    ready: Ready, images: ImageSet, name: str
) -> None:
    attack = ready(name, images, target=1)
    triggered = attack.triggered(images, seeded(0))
    assert triggered.indices.tolist() == [place for place in range(60) if place % 3 != 1]
    assert set(triggered.true_labels[triggered.scored].tolist()) == SOURCES.get(name, {0, 2})
    assert torch.equal(triggered.true_labels, images.labels[triggered.indices])
    assert triggered.attacked_labels.tolist() == [1] * 40


@pytest.mark.parametrize("name", slow_but(NAMES, *FAST))
def test_a_target_that_does_not_exist_is_refused(ready: Ready, images: ImageSet, name: str) -> None:
    attack = ready(name, images)
    attack = attack.model_copy(update={"target": 3}).with_trigger(attack.trigger)
    with pytest.raises(
        ConfigError, match=f"{name}: expected target to be a class from 0 to 2, got 3"
    ):
        attack.triggered(images, seeded(0))
    if isinstance(attack, PoisoningAttack):
        with pytest.raises(ConfigError, match="expected target"):
            attack.poison(images, seeded(0))


@pytest.mark.parametrize("name", slow_but(NAMES, *FAST))
def test_the_random_state_of_the_process_is_left_alone(
    made: Ready, images: ImageSet, name: str
) -> None:
    torch_state, numpy_state = torch.random.get_rng_state(), np.random.get_state()
    attack = made(name, images)
    attack.triggered(images, seeded(0))
    if isinstance(attack, PoisoningAttack):
        attack.poison(images, seeded(0))
    assert torch.equal(torch.random.get_rng_state(), torch_state)
    np.testing.assert_equal(np.random.get_state(), numpy_state)


@pytest.mark.parametrize("name", slow_but(NAMES, *FAST))
def test_the_trigger_can_be_stored_and_stamps_the_same(
    ready: Ready, images: ImageSet, name: str
) -> None:
    attack, file = ready(name, images), io.BytesIO()
    torch.save(attack.trigger, file)
    file.seek(0)
    restored = CLASSES[name](**attack.params).with_trigger(torch.load(file, weights_only=True))
    assert torch.equal(
        restored.triggered(images, seeded(0)).images, attack.triggered(images, seeded(0)).images
    )


@pytest.mark.parametrize("name", slow_but(POISONING, *FAST))
def test_it_poisons_exactly_its_share_and_touches_nothing_else(
    ready: Ready, images: ImageSet, name: str
) -> None:
    attack = ready(name, images, target=1)
    before = images.images.clone()
    poisoned = attack.poison(images, seeded(0))
    classes = ELIGIBLE[attack.eligible]
    share = attack.poison_ratio * (60 if attack.ratio_of == "dataset" else 20 * len(classes))
    changed = poisoned.state() == State.POISONED
    assert int(changed.sum()) == poisoned.count(State.POISONED) == round(share)
    assert set(images.labels[changed].tolist()) <= classes
    assert set(poisoned.as_seen().labels[changed].tolist()) <= {1}
    untouched = poisoned.state() != State.POISONED
    assert torch.equal(poisoned.as_seen().labels[untouched], images.labels[untouched])
    clean = poisoned.state() == State.CLEAN
    assert torch.equal(poisoned.as_seen().images[clean], images.images[clean])
    assert torch.equal(images.images, before)


@pytest.mark.parametrize("name", slow_but(DRAWING, *FAST))
def test_every_poisoned_image_carries_the_trigger(
    ready: Ready, images: ImageSet, name: str
) -> None:
    poisoned = ready(name, images).poison(images, seeded(0))
    assert (poisoned.images != images.images[poisoned.indices]).flatten(1).any(1).all()


@pytest.mark.parametrize("name", slow_but(DRAWING, *FAST))
def test_a_seed_draws_the_same_samples_and_another_others(
    ready: Ready, images: ImageSet, name: str
) -> None:
    attack = ready(name, images)
    first, again, other = (attack.poison(images, seeded(seed)) for seed in (0, 0, 1))
    assert torch.equal(first.indices, again.indices)
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.indices, other.indices)


@pytest.mark.parametrize("name", slow_but(CHOOSY, *FAST))
def test_a_ratio_that_no_class_can_fill_is_refused(
    ready: Ready, images: ImageSet, name: str
) -> None:
    with pytest.raises(ConfigError, match=f"{name}: .*poison"):
        ready(name, images, poison_ratio=0.9, ratio_of="dataset").poison(images, seeded(0))


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINING)
def test_training_moves_the_weights_by_its_seed_alone(
    prepared: Ready, build_for: Ready, images: ImageSet, short: Recipe, name: str
) -> None:
    attack = prepared(CLASSES[name](**quick(CLASSES[name])), images)
    fresh, before = build_for(images), images.images.clone()
    first, again, other = (
        attack.train(build_for(images), images, short, seeded(seed)) for seed in (0, 0, 1)
    )
    assert not alike(weights(first), weights(fresh))
    assert alike(weights(first), weights(again))
    assert not alike(weights(first), weights(other))
    assert not (first.model if isinstance(first, Trained) else first).training
    assert torch.equal(images.images, before)


@pytest.mark.parametrize("name", slow_but(TRAINING, *FAST))
def test_batches_need_not_be_full(made: Ready, images: ImageSet, name: str) -> None:
    """50 images are dealt into batches of 17, 17 and 16 where 20 is the most; an attack that
    controls training takes its shares of the batch that it gets.
    """
    trained = made(name, images.subset(torch.arange(50)))
    assert trained.triggered(images, seeded(0)).images.shape[1:] == images.images.shape[1:]
