"""The step from what was found in foreign files to an ordinary attack result, stored under
`record/`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchbd.attack.attack import Attack
from benchbd.attack.training_controlled import TrainingControlledAttack, unpoisoned_set
from benchbd.data.images import ImageSet
from benchbd.data.poisoned import PoisonedSet, State, TriggeredSet
from benchbd.engine.classifier import Classifier
from benchbd.engine.inference import predict
from benchbd.engine.recipe import Recipe
from benchbd.errors import PluginNotFound, RecordError
from benchbd.plugin.provenance import name_for, sources
from benchbd.plugin.registry import create, entries
from benchbd.record.attack_files import ATTACK_FILE, MANIFEST_FILE, record_dir
from benchbd.record.attack_result import AttackResult, load_attack_result, manifest_of
from benchbd.record.files import read_json
from benchbd.record.images import digest_of_splits, write_images
from benchbd.record.ingredients import Ingredients
from benchbd.record.keys import key_of, safe_name
from benchbd.record.manifest import Manifest
from benchbd.record.plugin_record import PluginRecord
from benchbd.record.provenance import now, provenance
from benchbd.report.sheet import draw_sheet
from benchbd.victim.dataset import DataSet
from benchbd.victim.model import Model


@dataclass(frozen=True, eq=False)
class ForeignResult:
    """What foreign files say about an attacked model.

    format: the kind of the files. called: the attack as they name it. family: that of the attack.
    reported: the shares that the other tool measured, by acc, asr and rc. clean_budget: the
    defender's share; unset where a protocol decides.
    """

    format: str
    called: str
    family: str
    plugin: Model
    model: Classifier
    train: PoisonedSet
    test: ImageSet
    triggered: TriggeredSet
    target: int = 0
    clean_budget: float | None = None
    recipe: Recipe = field(default_factory=lambda: Recipe(precision="fp32"))
    seed: int = 0
    reported: dict[str, float] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)


def keep(found: ForeignResult, name: str) -> AttackResult:
    """Store what was found as `record/<name>/` and return the result. Raises `RecordError` when
    another result lies there.
    """
    folder = record_dir() / safe_name(name)
    train, test = found.train.clean, found.test
    dataset = create(DataSet, in_role("dataset"), {"images": digest_of_splits(train, test)})
    attack = create(Attack, in_role("attack"), _attack_parameters(found))
    manifest = _manifest(found, dataset, attack)
    _require_room(folder, manifest.key)
    write_images(folder, train, test)
    result = AttackResult(
        folder=folder,
        manifest=manifest,
        model=found.model,
        train=found.train,
        test=test,
        triggered=found.triggered,
        trigger={},
        clean_predictions=predict(found.model, test.images, precision=found.recipe.precision),
        triggered_predictions=predict(
            found.model, found.triggered.images, precision=found.recipe.precision
        ),
    )
    result.save()
    draw_sheet(result)
    return load_attack_result(folder / ATTACK_FILE)  # read it back as every defense will


def in_role(kind: str) -> str:
    """Return the plugin of a kind that represents imported ones, according to its card."""
    for entry in entries(kind):
        if entry.card.get("role") == "imported":
            return f"{entry.provider}/{entry.name}"
    raise PluginNotFound(
        f"no {kind} here has `role: imported` on its card, which imported results need"
    )


def only_model(train: ImageSet) -> PoisonedSet:
    """Return the training set of a model that came without one: the clean images of the defender,
    none of them changed.
    """
    return unpoisoned_set(train)


def nothing_triggered(test: ImageSet) -> TriggeredSet:
    """Return the triggered set of a model that came without triggered images; it is empty."""
    none = torch.zeros(0, dtype=torch.int64)
    return TriggeredSet(none, test.images.new_empty((0, *test.image_shape)), none, none)


def _attack_parameters(found: ForeignResult) -> dict[str, Any]:
    train = found.train
    return {
        "called": found.called,
        "format": found.format,
        "target": found.target,
        "poison_ratio": train.count(State.POISONED) / len(train) if len(train) else 0.0,
        "content": key_of(
            "imported",
            digest_of_tensors(found.model.state_dict()),
            digest_of_tensors(_parts(found)),
        ),
    }


def _told(attack: Attack, family: str) -> PluginRecord:
    """Return the attack as it is recorded. An attack that poisoned batches gets no poison ratio,
    because a ratio of 0 would mean that nothing was poisoned.
    """
    told = PluginRecord.of(attack)
    unset = ("poison_ratio",) if family == TrainingControlledAttack.family else ()
    return told.model_copy(
        update={"params": {name: value for name, value in told.params.items() if name not in unset}}
    )


def _parts(found: ForeignResult) -> dict[str, Tensor]:
    parts = {
        f"train.{name}": getattr(found.train, name)
        for name in ("indices", "images", "labels", "states")
    }
    names = ["indices", "images", "true_labels", "attacked_labels"]
    names += ["bystander"] if len(found.triggered.bystander) else []
    return parts | {f"test.{name}": getattr(found.triggered, name) for name in names}


def digest_of_tensors(tensors: dict[str, Tensor]) -> str:
    """Return the sha256 over names, types, shapes and contents."""
    whole = hashlib.sha256()
    for name, value in tensors.items():
        whole.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
        whole.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return whole.hexdigest()


def _manifest(found: ForeignResult, dataset: DataSet, attack: Attack) -> Manifest:
    made_of = Ingredients(
        dataset=PluginRecord.of(dataset),
        model=PluginRecord.of(found.plugin),
        attack=_told(attack, found.family),
        recipe=found.recipe.params,
        seed=found.seed,
    )
    plugins = [dataset, found.plugin, attack]
    return manifest_of(
        made_of,
        family=found.family,
        found_as={plugin.kind: name_for(type(plugin)) for plugin in plugins},
        poisoned=found.train,
        test=found.test,
        model=found.model,
        imported={
            "format": found.format,
            "called": found.called,
            "reported": found.reported,
            **found.details,
        },
        clean_budget=found.clean_budget,
        provenance=provenance([sources(type(plugin)) for plugin in plugins], now()),
    )


def _require_room(folder: Path, key: str) -> None:
    """Raise `RecordError` when another result lies in `folder`. The same result may be written
    again.
    """
    try:
        stored = read_json(folder / MANIFEST_FILE)
    except RecordError:
        if (folder / ATTACK_FILE).exists():
            raise RecordError(
                f"{folder} holds a result that cannot be read; choose another --name, or remove "
                "that folder"
            ) from None
        return
    if not isinstance(stored, dict) or stored.get("key") != key:
        raise RecordError(
            f"{folder} holds another result; choose another --name, or remove that folder"
        )
