"""Checks of defenses: what they may touch, what they return, where they apply, and that they do no
harm.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from benchbd.api import (
    Analysis,
    InputDetector,
    Learned,
    ModelDetector,
    NotApplicable,
    Repair,
    Repaired,
    RobustTraining,
    TrainingSetRepair,
    accuracy,
)
from benchbd.defense.case import Case
from benchbd.defense.defense import CleanDataDefense, Defense
from benchbd.engine.hardware import hardware
from benchbd.engine.structure import in_training
from benchbd.errors import ContractBroken
from benchbd.seeds import global_random_state
from benchbd.testing import tiny_data
from benchbd.testing.check import check, require
from benchbd.testing.guarded_case import GuardedCase
from benchbd.testing.result import NotSeen, RuleBroken
from benchbd.testing.subject import Subject
from benchbd.testing.trial import hand_over, same, try_verb

MOST_HARM_SHARE = 0.2
"""The most accuracy on clean images, as a share, that a healthy model may lose by a defense."""


@check("smoke", Repair, TrainingSetRepair, RobustTraining)
def returns_a_model_in_eval_mode(subject: Subject) -> None:
    """What comes back is a model, in eval mode."""
    answer = subject.trial.answer
    model = _model(answer)
    require(
        isinstance(model, nn.Module),
        f"it returned a {type(answer).__name__}, expected a torch.nn.Module",
    )
    require(not in_training(model), "it returned a model in training mode; return `model.eval()`")


@check("smoke", InputDetector, ModelDetector, Analysis)
def handed_model_stays(subject: Subject) -> None:
    """The model that is to be judged is afterwards as it was: weights, buffers, mode, hooks."""
    changed = subject.trial.model_changed
    require(
        not changed,
        f"it changed {', '.join(changed[:4])} of the model that it was handed; work on a copy",
    )


@check("smoke", Defense, Analysis)
def rerun_is_identical(subject: Subject) -> None:
    """The same seed gives the same answer, bit for bit."""
    first = subject.trial.answer
    alike = same(first, try_verb(subject.plugin, subject.hand_over()).answer)
    require(alike, "a second run with the same seed differs; draw from the rng that is handed over")


@check("smoke", CleanDataDefense)
def clean_samples_within_budget(subject: Subject) -> None:
    """It takes no more clean samples than its budget, and says how many it took."""
    case, reported = _responded(subject)
    plugin = subject.plugin_as(CleanDataDefense)
    allowed = _allowed(
        plugin, Case(case.result, case.machine, plugin.name, tiny_data.TINY_CLEAN_BUDGET)
    )
    taken = max(case.taken, default=0)
    require(
        taken <= allowed,
        f"it took {taken} clean samples, its budget is {allowed}; leave `clean_data` to the base",
    )
    require(reported >= taken, f"it took {taken} clean samples and reported {reported}")


def _allowed(plugin: CleanDataDefense, case: Case) -> int:
    """Return how many clean samples the plugin may take, by what it declares."""
    if isinstance(plugin, ModelDetector) and not plugin.holds_data:
        return 0
    return len(case.clean(plugin.ratio, plugin.index))


@check("smoke", Defense, but=lambda cls: bool(cls.oracle))
def sees_no_oracle(subject: Subject) -> None:
    """It looks at nothing that a real defender could not have: test data, triggered images, poison
    masks.
    """
    case, _ = _responded(subject)
    seen = ", ".join(dict.fromkeys(case.seen))
    require(
        not seen,
        f"it looked at {seen} of the attack result; do without, or declare `oracle = True`",
    )


@check(
    "smoke",
    Repair,
    TrainingSetRepair,
    RobustTraining,
    InputDetector,
    ModelDetector,
    but=lambda cls: "batch_size" not in cls.model_fields,
)
def batch_size_1_works(subject: Subject) -> None:
    """It works with batches of a single image."""
    handed = subject.hand_over()
    single = type(subject.plugin)(**subject.plugin.params | {"batch_size": 1})
    try:
        try_verb(single, handed)
    except NotApplicable:
        raise
    except Exception as error:
        raise RuleBroken(f"with batch_size 1 it raised {type(error).__name__}: {error}") from error


@check("smoke", Defense, Analysis)
def runs_on_three_architectures(subject: Subject) -> None:
    """It works on a residual net, on VGG with BatchNorm and on a transformer, or says that it does
    not apply; on one it works.
    """
    for architecture in (name for name in tiny_data.ARCHITECTURES if name != subject.architecture):
        try:
            trial = try_verb(subject.plugin, hand_over(architecture))
        except NotApplicable as answer:
            require(
                bool(answer.reason.strip()),
                f"on {architecture} it does not apply and gives no reason",
            )
            continue
        except Exception as error:
            raise RuleBroken(
                f"on {architecture} it raised {type(error).__name__}: {error}; raise "
                "NotApplicable(reason) where it does not apply"
            ) from error
        require(
            not getattr(_model(trial.answer), "training", False),
            f"on {architecture} it returned a model in training mode",
        )


@check("full", Repair, TrainingSetRepair, ModelDetector)
def clean_model_survives(subject: Subject) -> None:
    """With its defaults, a healthy model stays as accurate as it was, within 20 points."""
    handed = subject.hand_over(poison_ratio=0)
    before = accuracy(handed.model, handed.test.images, handed.test.labels)
    model = _model(try_verb(subject.full, handed).answer)
    if model is not None:
        after = accuracy(model, handed.test.images, handed.test.labels)
        require(
            after >= before - MOST_HARM_SHARE,
            f"the accuracy of a healthy model fell from {before:.0%} to {after:.0%}",
        )


def _model(answer: Any) -> Any:
    """Return the model in an answer; a verdict may carry none."""
    if isinstance(answer, Repaired | Learned):
        return answer.model
    return getattr(answer, "repaired", None) if not isinstance(answer, nn.Module) else answer


def _responded(subject: Subject) -> tuple[GuardedCase, int]:
    """Return the case after the defense has answered it by its own template, and how many clean
    samples it says it took.
    """
    result = tiny_data.attack_result(subject.architecture)
    if "responded" not in subject.notes:
        case = GuardedCase.over(
            result, hardware("cpu", "fp32"), subject.plugin.name, tiny_data.TINY_CLEAN_BUDGET
        )
        try:
            with global_random_state(0), torch.random.fork_rng():
                outcome = subject.plugin_as(Defense).respond(case)
        except ContractBroken as error:
            raise NotSeen(
                f"the core refused its answer ({error}); another check names the rule"
            ) from None
        subject.notes["responded"] = (case, outcome.clean_samples)
    case, count = subject.notes["responded"]
    return case, count
