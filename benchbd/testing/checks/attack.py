"""Checks of attacks: the samples that they poison, the look of the trigger, the labels that they
give, and the storing of their results.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchbd.api import Attack, PoisoningAttack, Recipe, TrainingControlledAttack, predict, to_uint8
from benchbd.data.poisoned import PoisonedSet, State
from benchbd.engine.structure import in_training
from benchbd.record.attack_result import load_attack_result
from benchbd.running.attack_job import AttackJob
from benchbd.running.attacking import make
from benchbd.seeds import Seeds
from benchbd.testing import tiny_data
from benchbd.testing.check import check, require
from benchbd.testing.subject import Subject
from benchbd.testing.trial import SomeAttack, prepared


@check("smoke", PoisoningAttack)
def poisons_the_exact_number(subject: Subject) -> None:
    """It poisons as many samples as its ratio says, each once."""
    attack = _ready(subject, PoisoningAttack)
    clean = tiny_data.images()
    found = _poisoned(attack).count(State.POISONED)
    pool = int(attack.may_poison(clean.labels, clean.num_classes).sum())
    wanted = round(attack.poison_ratio * (len(clean) if attack.ratio_of == "dataset" else pool))
    asked = f"{wanted} poisoned samples (ratio {attack.poison_ratio:g})"
    require(found == wanted, f"expected {asked}, found {found}; leave the choice to the base")


@check("smoke", PoisoningAttack)
def same_seed_same_bytes(subject: Subject) -> None:
    """The same seed gives the same poisoned set, byte for byte."""
    first, second = (_poisoned(_ready(subject, PoisoningAttack, fresh=True)) for _ in range(2))
    alike = torch.equal(first.indices, second.indices) and torch.equal(first.images, second.images)
    require(
        alike,
        "two poisoned sets of one seed differ; draw from the rng that is handed over and from "
        "nothing else",
    )


@check("smoke", PoisoningAttack, but=lambda cls: cls.model_fields["poison_ratio"].default == 0)
def another_seed_another_draw(subject: Subject) -> None:
    """Another seed poisons other samples."""
    attack = _ready(subject, PoisoningAttack)
    draws = [_poisoned(attack, seed).indices for seed in range(4)]
    require(
        any(not torch.equal(draws[0], other) for other in draws[1:]),
        "four seeds poison the same samples; draw from the rng",
    )


@check("smoke", PoisoningAttack)
def labels_follow_the_map(subject: Subject) -> None:
    """Poisoned samples get the label that `attacked_labels` declares; a clean-label attack and
    cover samples keep theirs.
    """
    attack = _ready(subject, PoisoningAttack)
    poisoned, clean = _poisoned(attack), tiny_data.images()
    true = clean.labels[poisoned.indices]
    changes = (poisoned.states == State.POISONED) & (not attack.clean_label)
    expected = torch.where(changes, attack.attacked_labels(true, clean.num_classes), true)
    wrong = int((poisoned.labels != expected).sum())
    require(
        wrong == 0,
        f"{wrong} of {len(true)} labels are not those that it declares; leave labels to the base",
    )


@check("smoke", Attack)
def attacked_labels_are_classes(subject: Subject) -> None:
    """`attacked_labels` gives one class for each label."""
    attack, clean = _ready(subject, Attack), tiny_data.images("test")
    labels = attack.attacked_labels(clean.labels, clean.num_classes)
    fits = labels.shape == clean.labels.shape and labels.dtype == torch.int64
    require(
        fits,
        f"expected int64 {tuple(clean.labels.shape)}, got {labels.dtype} {tuple(labels.shape)}",
    )
    inside = bool(((labels >= 0) & (labels < clean.num_classes)).all())
    require(
        inside,
        f"expected classes from 0 to {clean.num_classes - 1}, got {sorted(set(labels.tolist()))}",
    )


@check("smoke", Attack)
def stamp_keeps_shape_and_scale(subject: Subject) -> None:
    """`stamp` gives images of the same shape, finite, on the scale from 0 to 255."""
    attack = _ready(subject, Attack)
    images, stamped = tiny_data.images("test").images, _stamped(attack)
    require(
        isinstance(stamped, Tensor),
        f"stamp returned a {type(stamped).__name__}, expected a tensor (N, C, H, W)",
    )
    require(
        stamped.shape == images.shape,
        f"stamp returned {tuple(stamped.shape)} for {tuple(images.shape)}; keep the shape",
    )
    if stamped.dtype == torch.uint8:
        return
    require(stamped.is_floating_point(), f"stamp returned {stamped.dtype}, expected uint8 or float")
    require(
        bool(stamped.isfinite().all()),
        "stamp returned pixels that are not numbers; check its arithmetic",
    )
    require(
        float(stamped.max()) > 1.01,
        "stamp returned floats up to 1; the scale is from 0 to 255, so multiply by 255",
    )


@check("smoke", Attack, but=lambda cls: cls.model_fields["poison_ratio"].default == 0)
def trigger_changes_images(subject: Subject) -> None:
    """The trigger can be seen: nearly every stamped image differs from the original."""
    images, stamped = tiny_data.images("test").images, to_uint8(_stamped(_ready(subject, Attack)))
    untouched = int((stamped == images).flatten(1).all(1).sum())
    require(
        untouched < 0.5 * len(images),
        f"{untouched} of {len(images)} stamped images are the originals",
    )


@check("smoke", Attack)
def trigger_knows_no_neighbours(subject: Subject) -> None:
    """An image is stamped in the same way whatever else is in its batch, and in whatever order."""
    attack, test = _ready(subject, Attack), tiny_data.images("test")
    whole = to_uint8(_stamped(attack))
    halves = [
        attack.stamp(i, y, _rng())
        for i, y in zip(test.images.split(37), test.labels.split(37), strict=True)
    ]
    close = _alike(torch.cat([to_uint8(half) for half in halves]), whole)
    require(
        close,
        "images stamped in small batches differ from those stamped at once; draw what is random "
        "in `prepare`",
    )
    order = torch.arange(len(test)).flip(0)
    turned = to_uint8(attack.stamp(test.images[order], test.labels[order], _rng()))
    require(
        _alike(turned[order], whole),
        "images stamped in another order differ; draw what is random in `prepare`",
    )


@check("smoke", TrainingControlledAttack)
def trained_in_eval_mode(subject: Subject) -> None:
    """`train` gives back a model in eval mode."""
    answer = subject.trial.answer
    model = getattr(answer, "model", answer)
    require(
        isinstance(model, torch.nn.Module),
        f"train returned a {type(answer).__name__}, expected a model or Trained",
    )
    require(
        not in_training(model), "train returned a model in training mode; return `model.eval()`"
    )


@check("smoke", TrainingControlledAttack)
def hands_back_its_poisoned_set(subject: Subject) -> None:
    """It hands back a poisoned set if, and only if, `leaves_poisoned_set` says so."""
    attack = subject.plugin_as(TrainingControlledAttack)
    poisoned = getattr(subject.trial.answer, "poisoned", None)
    says = f"leaves_poisoned_set is {attack.leaves_poisoned_set}"
    require(
        attack.leaves_poisoned_set or poisoned is None,
        f"{says}, but train handed one back; say so",
    )
    require(
        isinstance(poisoned, PoisonedSet) or not attack.leaves_poisoned_set,
        f"{says}, but train handed none back; return `Trained(model, self.trigger, poisoned)`",
    )


@check("smoke", Attack)
def stored_result_reloads(subject: Subject) -> None:
    """Its stored result, read again, gives the same predictions, and its stored trigger stamps the
    same images.
    """
    attack, model = subject.plugin_as(Attack), tiny_data.ARCHITECTURES[subject.architecture]()
    recipe = Recipe(epochs=2, batch_size=50, lr=0.02, shift=0, precision="fp32")
    with tempfile.TemporaryDirectory() as folder:
        made = make(
            AttackJob(tiny_data.PlantedImages(), model, attack, recipe, 0, "cpu"), Path(folder)
        )
        read = load_attack_result(made.path)
    again = predict(read.model, read.triggered.images, precision="fp32")
    require(
        torch.equal(again, made.triggered_predictions),
        "the stored model predicts otherwise than the one that was made",
    )
    stamped = attack.with_trigger(read.trigger).triggered(read.test, Seeds(0).generator("stamp"))
    alike = torch.equal(stamped.images, read.triggered.images)
    require(alike, "the stored trigger stamps otherwise; return all of it from `prepare`")


def _ready(subject: Subject, family: type[SomeAttack], fresh: bool = False) -> SomeAttack:
    """Return the attack with its trigger, made once per plugin unless a fresh one is wanted."""
    subject.trial  # noqa: B018 - raises where there is nothing to look at
    if fresh or "ready" not in subject.notes:
        handed = subject.hand_over(poison_ratio=0)
        subject.notes["ready"] = prepared(subject.plugin_as(family), handed)
    attack = subject.notes["ready"]
    assert isinstance(attack, family)
    return attack


def _poisoned(attack: PoisoningAttack, seed: int = 0) -> PoisonedSet:
    return attack.poison(tiny_data.images(), Seeds(seed).generator("poison"))


def _stamped(attack: Attack) -> Any:
    test = tiny_data.images("test")
    return attack.stamp(test.images, test.labels, _rng())


def _rng() -> torch.Generator:
    return Seeds(0).generator("stamp")


def _alike(first: Tensor, second: Tensor) -> bool:
    """Return whether two batches of images are equal up to one level, because sums of floats may be
    taken in another order in another batch.
    """
    return bool(((first.int() - second.int()).abs() <= 1).all())
