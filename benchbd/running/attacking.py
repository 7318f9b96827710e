"""The attack stage: it poisons the training set, trains the victim, stamps the test set and stores
the attack result.
"""

from __future__ import annotations

import dataclasses
import itertools
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import cache
from pathlib import Path

import torch

from benchbd.attack.attack import Attack
from benchbd.attack.poisoning import PoisoningAttack
from benchbd.attack.training_controlled import Trained, TrainingControlledAttack, unpoisoned_set
from benchbd.data.images import ImageSet
from benchbd.data.poisoned import PoisonedSet, State, TriggeredSet
from benchbd.engine.classifier import Classifier
from benchbd.engine.counting import measure_cost
from benchbd.engine.hardware import Hardware, default_precision, hardware
from benchbd.engine.inference import predict
from benchbd.engine.process_state import preserve_process
from benchbd.engine.recipe import Recipe
from benchbd.engine.training import fit
from benchbd.errors import ContractBroken, DataError, RecordError, Unwritable
from benchbd.measure.along_training import TrainingMeasurements, measure_along_training
from benchbd.measure.quality import image_quality
from benchbd.plugin.provenance import sources
from benchbd.record.attack_files import ATTACK_FILE, MANIFEST_FILE
from benchbd.record.attack_result import AttackResult, load_attack_result, manifest_of
from benchbd.record.claim import claim, claim_path
from benchbd.record.files import read_json
from benchbd.record.manifest import AttackCost
from benchbd.record.provenance import now, provenance
from benchbd.record.remembered import REMEMBERED_FOLDER, remembering
from benchbd.report.sheet import draw_sheet
from benchbd.running.attack_job import AttackJob
from benchbd.seeds import Seeds

Require = Callable[[ImageSet], None]
"""Takes the training images, and raises where these cannot be used."""

DISK_BLOCK_BYTES = 4096
"""Bytes that a file system allocates at a time. Where there is no room for them, the disk is full.
"""


def load_or_make_attack_result(
    job: AttackJob, folder: Path, again: bool = False, require: Require | None = None
) -> tuple[AttackResult, bool]:
    """Return the attack result of `job` in `folder`, and whether it was stored before. It is made
    where it is missing, and also where it is stored if `again` is true. Before anything is trained,
    `require` raises for training images that the steps afterwards could not use.

    Raises `RecordError` when the result of another job lies there or the folder cannot be written,
    and `Busy` when another process is making the result. Work that fails before it has written
    anything leaves no folder.
    """
    replaced = again and _stored_key(folder) == job.key
    if not replaced and (stored := _load_stored(job, folder)) is not None:
        return stored, True
    require_writable(folder)
    try:
        with claim(claim_path(folder)):
            # another process may have stored the result in the meantime
            stored = None if replaced else _load_stored(job, folder)
            return (make(job, folder, require), False) if stored is None else (stored, True)
    except BaseException:
        with suppress(OSError):  # the folder is not empty
            folder.rmdir()
        raise


def _load_stored(job: AttackJob, folder: Path) -> AttackResult | None:
    path = folder / ATTACK_FILE
    if not path.is_file():
        return None
    stored = load_attack_result(path)
    if stored.key != job.key:
        raise RecordError(
            f"{path} holds the result of another job; choose another --name, or remove that folder"
        )
    return stored


def _stored_key(folder: Path) -> str:
    """Return the key of the result in a folder, whether the result is complete or not. It is empty
    where there is none.
    """
    try:
        return str(read_json(folder / MANIFEST_FILE)["key"])
    except (RecordError, LookupError, TypeError):
        return ""


def make(job: AttackJob, folder: Path, require: Require | None = None) -> AttackResult:
    """Poison, train and stamp, then store the attack result and return it."""
    started, machine, seeds = now(), hardware(job.device, job.recipe.precision), Seeds(job.seed)
    with preserve_process(job.dataset.name):
        train, test = job.dataset.load("train"), job.dataset.load("test")
    _require_alike(job, train, test)
    job.attack.require_target(train)
    if require is not None:
        require(train)
    with (
        default_precision(job.recipe.precision),
        _share_work(job, folder.parent, machine),
        measure_cost(machine.device) as cost,
        preserve_process(job.attack.name),
    ):
        attack, poisoned, model, along = _backdoor(job, train, test, machine)
    with preserve_process(job.attack.name):
        triggered = attack.triggered(test, seeds.generator("stamp"))
    clean, attacked = along.predictions_of(model) or tuple(
        predict(model, images, precision=job.recipe.precision, what="evaluating")
        for images in (test.images, triggered.images)
    )
    poison = poisoned.states == State.POISONED
    result = AttackResult(
        folder=folder,
        manifest=manifest_of(
            job.ingredients,
            family=attack.family,
            found_as=job.found_as,
            poisoned=poisoned,
            test=test,
            model=model,
            epochs=tuple(along.points),
            cost=AttackCost(
                **dataclasses.asdict(cost),
                device=str(machine.device),
                precision=machine.precision,
            ),
            quality=image_quality(test.images[triggered.indices], triggered.images),
            poison_quality=image_quality(
                train.images[poisoned.indices[poison]], poisoned.images[poison]
            ),
            provenance=provenance([sources(type(plugin)) for plugin in job.plugins], started),
        ),
        model=model,
        train=poisoned,
        test=test,
        triggered=triggered,
        trigger={
            name: value.cpu()
            for name, value in attack.trigger.items()
            if name not in attack.unstored
        },
        clean_predictions=clean,
        triggered_predictions=attacked,
    )
    model.cpu()
    draw_sheet(result)  # what is stored is not made again, so whoever dies before leaves no gap
    result.save()
    return result


def _require_alike(job: AttackJob, train: ImageSet, test: ImageSet) -> None:
    """Raise `DataError` unless both splits have the same classes, in one order, and one shape."""
    kinds = [(images.class_names, images.image_shape) for images in (train, test)]
    if kinds[0] != kinds[1] or not len(train) or not len(test):
        told = [
            f"{len(images)} images {images.image_shape} of {', '.join(images.class_names[:10])}"
            for images in (train, test)
        ]
        raise DataError(
            f"{job.dataset.name}: expected both splits to have images of the same shape and the "
            f"same classes in one order, got {told[0]} to train on, {told[1]} to test on"
        )


def _share_work(job: AttackJob, record: Path, machine: Hardware) -> AbstractContextManager[None]:
    """Let this job share the work that other results need too, such as a clean model. Shared work
    depends on the version of the attack but not on its parameters: the work itself names those it
    uses.
    """
    attack = job.ingredients.attack.model_copy(update={"params": {}})
    # absolute, because an attack may change the working directory
    folder = record.absolute() / REMEMBERED_FOLDER
    precision = machine.precision
    return remembering(folder, attack.identity(), job.ingredients.model.identity(), precision)


def _backdoor(
    job: AttackJob, train: ImageSet, test: ImageSet, machine: Hardware
) -> tuple[Attack, PoisonedSet, Classifier, TrainingMeasurements]:
    """Return the prepared attack, the poisoned set, the backdoored model, and what was measured
    while the model was trained.
    """
    seeds = Seeds(job.seed)
    attack, model = _prepared(job, train, machine)
    poisoned = (
        attack.poison(train, seeds.generator("poison"))
        if isinstance(attack, PoisoningAttack)
        else unpoisoned_set(train)
    )
    stamped = cache(lambda: attack.triggered(test, seeds.generator("stamp")))
    every = 0 if attack.learns_trigger else job.recipe.evaluate_every
    with measure_along_training(test, stamped, every, machine.precision) as along:
        attack, poisoned, model = _train(
            attack, model, poisoned, job.recipe, seeds.generator("shuffle")
        )
    return attack, poisoned, model, along


def _prepared(job: AttackJob, train: ImageSet, machine: Hardware) -> tuple[Attack, Classifier]:
    """Return the attack with what it draws or optimises before training, and the victim as it is
    then.
    """
    seeds = Seeds(job.seed)
    numbers = itertools.count()

    def build() -> Classifier:
        seed = seeds.seed("init", next(numbers))
        return job.model.classifier(train, seed).to(machine.device)

    model = build()
    trigger = job.attack.prepare(train, build, job.recipe, seeds.generator("trigger"))
    return job.attack.with_trigger(trigger), model


def triggered_images(job: AttackJob, record: Path) -> tuple[ImageSet, TriggeredSet]:
    """Return the test images of a job and the triggered ones, as the attack result has them. The
    victim is trained only where the trigger is learned with it.

    record: the folder below which work is kept that other results need, too.
    """
    machine, seeds = hardware(job.device, job.recipe.precision), Seeds(job.seed)
    with preserve_process(job.dataset.name):
        train, test = job.dataset.load("train"), job.dataset.load("test")
    with (
        default_precision(job.recipe.precision),
        _share_work(job, record, machine),
        preserve_process(job.attack.name),
    ):
        attack = (
            _backdoor(job, train, test, machine)[0]
            if job.attack.learns_trigger
            else _prepared(job, train, machine)[0]
        )
        return test, attack.triggered(test, seeds.generator("stamp"))


def _train(
    attack: Attack, model: Classifier, poisoned: PoisonedSet, recipe: Recipe, rng: torch.Generator
) -> tuple[Attack, PoisonedSet, Classifier]:
    """Return the attack, with the trigger that it may have learned during training, the poisoned
    set, which the attack may hand back, and the trained victim.
    """
    if not isinstance(attack, TrainingControlledAttack):
        fit(model, poisoned.as_seen(), recipe, rng, what=f"training on {attack.name}")
        return attack, poisoned, model
    answer = attack.train(model, poisoned.clean, recipe, rng)
    if not isinstance(answer, Trained):
        answer = Trained(answer, attack.trigger)
    if not isinstance(answer.model, Classifier):
        raise ContractBroken(
            f"{attack.name}.train returned a {type(answer.model).__name__}; return the model that "
            "was handed in, trained"
        )
    _require_poisoned_set(attack, answer, poisoned.clean)
    used = poisoned if answer.poisoned is None else answer.poisoned
    return attack.with_trigger(answer.trigger), used, answer.model


def _require_poisoned_set(
    attack: TrainingControlledAttack, answer: Trained, clean: ImageSet
) -> None:
    """Raise `ContractBroken` unless the attack hands back a poisoned set of `clean` if, and only
    if, it says so.
    """
    if attack.leaves_poisoned_set != (answer.poisoned is not None):
        raise ContractBroken(
            f"{attack.name}: leaves_poisoned_set is {attack.leaves_poisoned_set}, but train "
            f"returned {'no' if answer.poisoned is None else 'a'} poisoned set; change one of them"
        )
    if answer.poisoned is not None and answer.poisoned.clean is not clean:
        raise ContractBroken(
            f"{attack.name}.train returned a poisoned set of other images; make it from the "
            "clean_train that was handed in"
        )


def require_writable(folder: Path) -> None:
    """Raise `Unwritable` when results cannot be written to `folder`. It is called before any work
    is done.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(DISK_BLOCK_BYTES))
    except OSError as error:
        raise Unwritable(
            f"cannot write to {folder}: {error.strerror}; choose another folder"
        ) from None
