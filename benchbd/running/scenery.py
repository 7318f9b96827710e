"""The scene of an analysis, built from a stored attack result and the stored results of defenses
beside it.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from benchbd.analysis.scene import BACKDOORED, CleanTwin, Scene, Stamp
from benchbd.attack.attack import Attack
from benchbd.attack.training_controlled import TrainingControlledAttack
from benchbd.data.poisoned import PoisonedSet
from benchbd.engine.classifier import Classifier
from benchbd.engine.hardware import Hardware
from benchbd.engine.recipe import Recipe
from benchbd.errors import RecordError
from benchbd.record.attack_result import AttackResult, rebuild
from benchbd.record.defended_model import StoredDefense
from benchbd.record.keys import MODEL_ONLY
from benchbd.record.remembered import REMEMBERED_FOLDER, clean_model, remembering
from benchbd.seeds import Seeds
from benchbd.victim.model import Model


@dataclass(frozen=True, eq=False)
class Scenery:
    """A scene, the keys of the cells that it shows by the names of the defenses, and why others
    that were asked for are left out.
    """

    scene: Scene
    keys: dict[str, str]
    left_out: dict[str, str]


def build_scene(
    attack: AttackResult, defenses: Sequence[StoredDefense], machine: Hardware
) -> Scenery:
    """Return the scene of an attack result with the defended models that can be rebuilt."""
    models = {BACKDOORED: copy.deepcopy(attack.model).to(machine.device).eval()}
    predictions = {BACKDOORED: (attack.clean_predictions, attack.triggered_predictions)}
    keys, left_out = {}, {}
    for stored in defenses:
        name = stored.folder.name
        try:
            label = stored.cell.cell.defense.label
            name = (
                name if label in predictions else label
            )  # two variants of a method have one label
            predictions[name] = stored.predictions()
            keys[name] = stored.cell.key
            models[name] = stored.model().to(machine.device)
        except RecordError as error:
            left_out[name] = str(error)
    scene = Scene(
        models,
        predictions,
        attack.test,
        attack.triggered,
        _poisoned_set(attack),
        attack.train.clean,
        _clean_twin(attack, machine),
        _stamp(attack),
    )
    return Scenery(scene, keys, left_out)


def _poisoned_set(attack: AttackResult) -> PoisonedSet | None:
    without = {MODEL_ONLY, TrainingControlledAttack.family}
    return None if attack.manifest.family in without else attack.train


def _stamp(attack: AttackResult) -> Stamp:
    """Return a function that puts the trigger on images as the attack did on the test images."""

    def stamp(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        made = attack.manifest
        plugin = rebuild(Attack, made.attack, made.found_as).with_trigger(attack.trigger)
        attacked = plugin.attacked_labels(labels, attack.test.num_classes)
        rng = Seeds(attack.seed).generator("stamp", "analysis")
        return plugin.apply(plugin.stamp, images, labels, rng), attacked

    return stamp


def _clean_twin(attack: AttackResult, machine: Hardware) -> CleanTwin:
    """Return a function that trains a twin, once for all analyses of one seed."""

    def twin(number: int = 0) -> Classifier:
        made = attack.manifest
        plugin = rebuild(Model, made.model, made.found_as)
        fresh = plugin.classifier(attack.train.clean, Seeds(attack.seed).seed("twin", number))
        folder = attack.folder.parent.absolute() / REMEMBERED_FOLDER
        with remembering(folder, model=made.model.identity(), precision=machine.precision):
            recipe = Recipe(**made.recipe)
            trained = clean_model(fresh.to(machine.device), attack.train.clean, recipe)
        assert isinstance(trained, Classifier)
        return trained

    return twin
