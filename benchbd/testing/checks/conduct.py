"""Checks of the conduct of every plugin while its verb runs."""

from __future__ import annotations

from unittest.mock import patch

import torch
from torch import Tensor

from benchbd.api import Analysis, Attack, Model, NotApplicable
from benchbd.api.executors import Executor
from benchbd.defense.defense import Defense
from benchbd.engine.classifier import Classifier
from benchbd.testing.check import check, require
from benchbd.testing.result import NotSeen, RuleBroken
from benchbd.testing.subject import Subject
from benchbd.testing.trial import answer_of

LEAST_BATCHES = 2
"""The number of batches that pass through the model before the interrupt."""


@check("smoke")
def runs(subject: Subject) -> None:
    """Its verb comes to an end on tiny data, on one architecture or one shape of images
    at least.
    """
    _, attempt = subject.tried
    if isinstance(attempt, NotApplicable) and subject.must_apply:
        raise RuleBroken(
            "it applies to none of the architectures and shapes tried here, so nothing of it was "
            f"checked: {attempt}"
        )
    if isinstance(attempt, NotApplicable | NotSeen):
        raise attempt
    if isinstance(attempt, BaseException):
        raise RuleBroken(f"it raised {type(attempt).__name__}: {attempt}") from attempt


@check("smoke")
def inputs_stay(subject: Subject) -> None:
    """The images and labels that it is handed are afterwards as they were."""
    changed = subject.trial.changed
    require(not changed, f"it changed {', '.join(changed)}; work on a copy (`images.clone()`)")


@check("smoke", but=lambda cls: issubclass(cls, Model))
def generators_stay(subject: Subject) -> None:
    """The process-wide generators of Python, NumPy and PyTorch are afterwards as they were."""
    changed = subject.trial.generators_changed
    require(
        not changed,
        f"it drew from, or seeded, {', '.join(changed)}; draw from the rng that is handed over",
    )


@check("smoke")
def settings_stay(subject: Subject) -> None:
    """What is set for the whole process is afterwards as it was: dtype, threads, grad mode,
    environment, warnings and the like.
    """
    changed = subject.trial.settings_changed
    require(not changed, f"it left {'; '.join(changed)}; use a context manager that puts it back")


@check("smoke")
def writes_nothing(subject: Subject) -> None:
    """It writes no file but temporary ones; results are stored by the core."""
    written = subject.trial.written
    require(
        not written,
        f"it wrote {', '.join(written[:3])}; give results back, and the core stores them",
    )


class _TimeIsUp(BaseException):
    """An interrupt that, like one from the keyboard, no `except Exception` can catch."""


@check("smoke", Attack, Defense, Analysis)
def stops_when_told(subject: Subject) -> None:
    """An interrupt reaches the outside: nothing catches all exceptions and goes on."""
    handed, passes, features = subject.hand_over(), 0, Classifier.features

    def counted(model: Classifier, images: Tensor) -> Tensor:
        nonlocal passes
        passes += 1
        if passes > LEAST_BATCHES:
            raise _TimeIsUp
        return features(model, images)

    try:
        with torch.random.fork_rng(), patch.object(Classifier, "features", counted):
            answer_of(subject.plugin, handed)
    except _TimeIsUp:
        return
    require(
        passes <= LEAST_BATCHES,
        f"it was interrupted in pass {LEAST_BATCHES + 1} and went on; do not catch BaseException",
    )


@check("smoke", Executor)
def closes(subject: Subject) -> None:
    """Its session has room for a stage and can be closed twice."""
    session = subject.trial.answer
    require(
        session.capacity >= 1, f"expected room for at least one stage, found {session.capacity}"
    )
    session.close()
    try:
        session.close()
    except Exception as error:
        raise RuleBroken(
            f"closed a second time it raised {type(error).__name__}: {error}; do nothing then"
        ) from error
