"""A trial of a plugin: it runs the verb once, as the core does, and records the answer and what it
did besides.
"""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from benchbd.api import (
    BACKDOORED,
    Analysis,
    Attack,
    BuildModel,
    CleanSet,
    ConfigError,
    DataError,
    DataFilter,
    DataSet,
    ImageSet,
    InputDetector,
    Model,
    ModelDetector,
    NotApplicable,
    PoisoningAttack,
    Recipe,
    Repair,
    RobustTraining,
    Scene,
    Split,
    TrainingControlledAttack,
    TrainingSetRepair,
    predict,
)
from benchbd.api.executors import Executor, Limits, Session
from benchbd.data.budget import draw_budget
from benchbd.data.poisoned import TriggeredSet
from benchbd.engine.classifier import Classifier
from benchbd.engine.process_state import generators, restore, settings
from benchbd.plugin.plugin import Plugin
from benchbd.record.attack_result import AttackResult
from benchbd.seeds import Seeds, global_random_state
from benchbd.testing import tiny_data
from benchbd.testing.written_files import record_writes

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
SomeAttack = TypeVar("SomeAttack", bound=Attack)

UNUSUAL_SEED = 20_011
"""The seed of the process-wide generators during a trial. A plugin that seeds them itself is
unlikely to choose the same number.
"""


@dataclass(frozen=True, eq=False)
class VerbInputs:
    """The inputs of all verbs, of which each family gets its share. They are fresh copies. result:
    the attack result from which they were taken.
    """

    result: AttackResult

    model: Classifier
    clean: CleanSet
    train: ImageSet
    test: ImageSet
    build_model: BuildModel
    recipe: Recipe
    rng: torch.Generator

    def images(self) -> dict[str, Tensor]:
        """Return all images and labels that are handed over, by the name that a message
        gives them.
        """
        return {
            "the clean training images": self.clean.train.images,
            "the clean training labels": self.clean.train.labels,
            "the clean validation images": self.clean.validation.images,
            "the clean validation labels": self.clean.validation.labels,
            "the training images": self.train.images,
            "the training labels": self.train.labels,
            "the images that were to be judged or stamped": self.test.images,
            "their labels": self.test.labels,
            "the triggered images": self.triggered.images,
        }

    @cached_property
    def triggered(self) -> TriggeredSet:
        """The triggered test images."""
        return replace(self.result.triggered, images=self.result.triggered.images.clone())

    @cached_property
    def scene(self) -> Scene:
        """The scene of `model` and of a second one, whose weights differ a little."""
        models = {BACKDOORED: self.model, "defended": _disturbed(self.model)}
        predictions = {
            name: (predict(model, self.test.images), predict(model, self.triggered.images))
            for name, model in models.items()
        }
        return Scene(
            models,
            predictions,
            self.test,
            self.triggered,
            self.result.train,
            self.train,
            lambda number=0: self.build_model(),
            tiny_data.stamp,
        )


@dataclass(frozen=True, eq=False)
class Trial:
    """The outcome of a trial. changed: which of the handed images and labels, and which part of the
    process, the verb has changed.
    """

    answer: Any
    handed: VerbInputs
    changed: tuple[str, ...]
    model_changed: tuple[str, ...]
    settings_changed: tuple[str, ...]
    generators_changed: tuple[str, ...]
    written: tuple[str, ...]
    seconds: float


def hand_over(
    architecture: str = "residual", poison_ratio: float = 0.2, seed: int = 0
) -> VerbInputs:
    """Return the inputs of verbs: a backdoored model (a healthy one at ratio 0), the defender's
    budget, the training set as seen, and the test set.
    """
    attack, seeds = tiny_data.attack_result(architecture, poison_ratio), Seeds(seed)
    return VerbInputs(
        attack,
        copy.deepcopy(attack.model),
        draw_budget(
            attack.train.clean,
            attack.train.untouched(),
            tiny_data.TINY_CLEAN_BUDGET,
            seeds.generator("budget"),
        ),
        attack.train.as_seen(),
        attack.test.subset(torch.arange(len(attack.test))),
        tiny_data.builder(architecture),
        tiny_data.TINY_RECIPE.model_copy(update={"epochs": 2}),
        seeds.generator("defense"),
    )


def try_verb(plugin: Plugin, handed: VerbInputs) -> Trial:
    """Run the verb of the plugin's family. Raises whatever it raises."""
    before = {name: value.clone() for name, value in handed.images().items()}
    state, shape = _state(handed.model), _outline(handed.model)
    noted = _Noted()
    with global_random_state(UNUSUAL_SEED), record_writes() as written, noted.watching():
        answer = answer_of(plugin, handed)
    changed = tuple(
        name for name, value in handed.images().items() if not torch.equal(value, before[name])
    )
    model_changed = [
        name
        for name, value in _state(handed.model).items()
        if not torch.equal(value, state.get(name, value * 0 - 1))
    ]
    model_changed += [
        name for name, value in _outline(handed.model).items() if shape[name] != value
    ]
    return Trial(
        answer,
        handed,
        changed,
        tuple(model_changed),
        tuple(noted.settings),
        tuple(noted.generators),
        tuple(written),
        noted.seconds,
    )


def answer_of(plugin: Plugin, handed: VerbInputs) -> Any:
    """Return the answer of the verb; for an input detector, its suspicion of the test images."""
    return next(verb for family, verb in _VERBS if isinstance(plugin, family))(plugin, handed)


def prepared(attack: Attack, handed: VerbInputs) -> Attack:
    """Return the attack with its trigger drawn, optimised or learned."""
    ready: Attack = _drawn(attack, handed)
    if isinstance(ready, TrainingControlledAttack):
        answer = ready.train(handed.build_model(), handed.train, handed.recipe, handed.rng)
        ready = ready.with_trigger(answer.trigger) if not isinstance(answer, nn.Module) else ready
    return ready


def _drawn(attack: SomeAttack, handed: VerbInputs) -> SomeAttack:
    return attack.with_trigger(
        attack.prepare(handed.train, handed.build_model, handed.recipe, handed.rng)
    )


def _held(plugin: ModelDetector, handed: VerbInputs) -> CleanSet:
    return handed.clean if plugin.holds_data else CleanSet.empty(handed.clean.train)


def _stamp(plugin: PoisoningAttack, handed: VerbInputs) -> Tensor:
    return prepared(plugin, handed).stamp(handed.test.images, handed.test.labels, handed.rng)


_VERBS: list[tuple[type[Any], Callable[[Any, VerbInputs], Any]]] = [
    (Repair, lambda plugin, h: plugin.repair(h.model, h.clean, h.rng)),
    (TrainingSetRepair, lambda plugin, h: plugin.repair(h.model, h.train, h.rng)),
    (RobustTraining, lambda plugin, h: plugin.train(h.build_model, h.train, h.recipe, h.rng)),
    (DataFilter, lambda plugin, h: plugin.score(h.train, h.model, h.clean, h.rng)),
    (InputDetector, lambda plugin, h: plugin.fit(h.model, h.clean, h.rng).score(h.test.images)),
    (ModelDetector, lambda plugin, h: plugin.inspect(h.model, _held(plugin, h), h.rng)),
    (Analysis, lambda plugin, h: plugin.look(h.scene, h.rng)),
    (PoisoningAttack, _stamp),
    (
        TrainingControlledAttack,
        lambda plugin, h: _drawn(plugin, h).train(h.build_model(), h.train, h.recipe, h.rng),
    ),
    (Model, lambda plugin, h: build_somewhere(plugin, h.train.num_classes)),
    (DataSet, lambda plugin, h: load_split(plugin, "train")),
    (Executor, lambda plugin, h: session_of(plugin)),
]


def _disturbed(model: Classifier) -> Classifier:
    """Return a copy of which each weight is a hundredth larger."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.01)
    return other


def build_somewhere(model: Model, num_classes: int) -> nn.Module:
    """Return a network for the first shape that the model takes. Raises `NotApplicable` when it
    takes none.
    """
    *others, last = tiny_data.SHAPES
    for shape in others:
        with suppress(NotApplicable):
            return model.build(num_classes, shape)
    return model.build(num_classes, last)


def session_of(executor: Executor) -> Session:
    """Return a session. Raises `NotApplicable` for an executor whose machines cannot be reached
    from here.
    """
    try:
        return executor.open(Limits())
    except ConfigError as error:
        raise NotApplicable(str(error)) from None


def load_split(dataset: DataSet, split: Split) -> ImageSet:
    """Return a split. Raises `NotApplicable` for a data set whose images are not on this
    machine.
    """
    try:
        return dataset.load(split)
    except (DataError, ConfigError) as error:
        raise NotApplicable(str(error)) from None


@dataclass
class _Noted:
    """Settings and generators that a piece of work has changed."""

    settings: list[str] = field(default_factory=list)
    generators: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @contextmanager
    def watching(self) -> Iterator[None]:
        were, drawn, start = settings(), generators(), time.perf_counter()
        with warnings.catch_warnings():
            try:
                yield
            finally:
                self.seconds = time.perf_counter() - start
                left = {name: now for name, now in settings().items() if now != were[name]}
                self.settings = [
                    f"{name}: {were[name]} before, {now} after" for name, now in left.items()
                ]
                self.generators = [name for name, now in generators().items() if now != drawn[name]]
                restore(were)


def _state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _outline(model: nn.Module) -> dict[str, Any]:
    """Return modes, hooks and frozen parameters, of all modules."""
    return {
        "training mode": [module.training for module in model.modules()],
        "hooks": [[len(getattr(module, kind)) for kind in HOOKS] for module in model.modules()],
        "requires_grad": [parameter.requires_grad for parameter in model.parameters()],
    }


def same(first: Any, second: Any) -> bool:
    """Return whether two answers of a verb are equal, bit for bit, wherever they hold tensors. NaN
    counts as equal to NaN.
    """
    if isinstance(first, Tensor):
        alike = first.shape == second.shape and first.dtype == second.dtype
        return alike and bool(torch.isclose(first, second, rtol=0, atol=0, equal_nan=True).all())
    if isinstance(first, nn.Module):
        return isinstance(second, nn.Module) and same(first.state_dict(), second.state_dict())
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(
            same(value, second[key]) for key, value in first.items()
        )
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(
            same(a, b) for a, b in zip(first, second, strict=True)
        )
    if hasattr(first, "__dict__"):
        return same(vars(first), vars(second))
    return bool(first == second) or (first != first and second != second)
