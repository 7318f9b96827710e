"""The attack result: backdoored model, poisoned training set, triggered test set and manifest.

Every defense starts from one. It is stored as `record/<name>/attack_result.pt`: the model's
parameters, the poisoned and triggered images as deltas over the data set, and a manifest from which
the rest is rebuilt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from benchbd.data.images import ImageSet
from benchbd.data.poisoned import PoisonedSet, State, TriggeredSet
from benchbd.engine.classifier import Classifier
from benchbd.errors import DataError, RecordError, UnsafeFile
from benchbd.measure.counting import count
from benchbd.measure.shares import Counts, Metrics
from benchbd.plugin.loose import is_imported
from benchbd.plugin.plugin import Plugin
from benchbd.plugin.registry import create, is_file
from benchbd.record.attack_files import ATTACK_FILE, MANIFEST_FILE, record_dir, require_noted
from benchbd.record.files import sha256, write_json
from benchbd.record.ingredients import Ingredients
from benchbd.record.keys import SCHEMA
from benchbd.record.manifest import Fingerprints, Manifest, Outline, SampleCounts
from benchbd.record.plugin_record import PluginRecord
from benchbd.record.tensor_files import digest_of_weights, read_tensors, write_tensors
from benchbd.victim.dataset import DataSet
from benchbd.victim.model import Model

Family = TypeVar("Family", bound=Plugin)


@dataclass(frozen=True, eq=False)
class AttackResult:
    """An attack result in memory. `predictions_*` are the backdoored model's classes for the clean
    (N,) and the triggered (M,) test images.
    """

    folder: Path
    manifest: Manifest
    model: Classifier
    train: PoisonedSet
    test: ImageSet
    triggered: TriggeredSet
    trigger: dict[str, Tensor]
    clean_predictions: Tensor
    triggered_predictions: Tensor

    @property
    def path(self) -> Path:
        """The file that `save` writes."""
        return self.folder / ATTACK_FILE

    @property
    def key(self) -> str:
        """The key of the attacked model, 64 hexadecimal digits."""
        return self.manifest.key

    @property
    def seed(self) -> int:
        """The seed that everything in it was drawn from."""
        return self.manifest.seed

    def __repr__(self) -> str:
        """Return what it is and where it lies. Its images and its network would fill a screen."""
        made = self.manifest
        what = f"{made.attack.name} on {made.dataset.name}, {made.model.label}, seed {made.seed}"
        return f"<AttackResult: {what}, in {self.folder}>"

    def clean_budget(self, usual: float) -> float:
        """Return the defender's share of the clean data: all of it where it came as the defender's
        own, else the usual one.
        """
        return usual if self.manifest.clean_budget is None else self.manifest.clean_budget

    def counts(self) -> Counts:
        """Return how many clean images the undefended model gets right, and how many triggered ones
        it takes for the attacked or the true label.
        """
        return count(self.clean_predictions, self.triggered_predictions, self.test, self.triggered)

    def metrics(self) -> Metrics:
        """Return ACC, ASR and RC of the undefended model."""
        return Metrics.from_counts(self.counts())

    def model_digest(self) -> str:
        """Return the digest of the attacked model's weights, 64 hexadecimal digits."""
        return digest_of_weights(self.model.state_dict())

    def save(self) -> Path:
        """Write the result file, and its manifest as JSON with the file's digest. Raises
        `RecordError`.
        """
        train, triggered = self.train, self.triggered
        path = write_tensors(
            self.path,
            {
                "schema": SCHEMA,
                "manifest": self.manifest.to_json(),
                "model": {
                    name: value.cpu().contiguous()
                    for name, value in self.model.state_dict().items()
                },
                "poisoned": {
                    "indices": train.indices,
                    "images": train.images.contiguous(),
                    "labels": train.labels,
                    "states": train.states,
                },
                "triggered": {
                    "indices": triggered.indices,
                    "images": triggered.images.contiguous(),
                    "true_labels": triggered.true_labels,
                    "attacked_labels": triggered.attacked_labels,
                    "bystander": triggered.bystander,
                },
                "trigger": self.trigger,
                "predictions": {
                    "clean": self.clean_predictions.to(torch.uint16),
                    "triggered": self.triggered_predictions.to(torch.uint16),
                },
            },
            maker=f"the attack {self.manifest.attack.name} in {self.manifest.cost.precision}",
        )
        write_json(self.folder / MANIFEST_FILE, self.manifest.to_json() | {"sha256": sha256(path)})
        return path


def manifest_of(
    ingredients: Ingredients, poisoned: PoisonedSet, test: ImageSet, model: Classifier, **facts: Any
) -> Manifest:
    """Return the manifest of an attacked model, from what it was made of and what it is. facts: the
    other fields of the manifest, by name.
    """
    train = poisoned.clean
    counts = {
        name: poisoned.count(state)
        for name, state in (("poisoned", State.POISONED), ("cover", State.COVER))
    }
    return Manifest(
        **dict(ingredients),
        key=ingredients.attack_key,
        outline=Outline(
            num_classes=train.num_classes,
            image_shape=train.image_shape,
            mean=tuple(model.mean.flatten().tolist()),
            std=tuple(model.std.flatten().tolist()),
        ),
        class_names=train.class_names,
        fingerprints=Fingerprints(train=train.fingerprint(), test=test.fingerprint()),
        counts=SampleCounts(**counts),
        **facts,
    )


def result_path(result_file: str | Path) -> Path:
    """Return the file that a person means: a path to it, its folder, or the name of a folder under
    `record/`.
    """
    given = Path(result_file)
    for candidate in (given, given / ATTACK_FILE, record_dir() / given / ATTACK_FILE):
        if candidate.is_file():
            return candidate
    known = sorted(p.parent.name for p in record_dir().glob(f"*/{ATTACK_FILE}"))
    here = f"; under {record_dir()}/ there are: {', '.join(known)}" if known else ""
    raise RecordError(f"no attack result at {given} or {record_dir() / given / ATTACK_FILE}{here}")


def load_attack_result(result_file: str | Path) -> AttackResult:
    """Read a stored attack result and rebuild its model and data sets.

    Raises `RecordError` for a missing, damaged, changed or foreign file, `DataError` when the data
    set is not the one that was attacked.
    """
    path = result_path(result_file)
    content = read_tensors(path)
    require_noted(path)
    try:
        return _restore(path, content)
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise RecordError(
            f"{path} does not hold a whole attack result ({type(error).__name__}: {error}); make "
            "it again"
        ) from None


def _restore(path: Path, content: dict[str, Any]) -> AttackResult:
    if content["schema"] != SCHEMA:
        raise RecordError(
            f"{path} has schema {content['schema']}, this benchbd reads {SCHEMA}; make it again"
        )
    manifest = Manifest.read(content["manifest"], path)
    dataset = rebuild(DataSet, manifest.dataset, manifest.found_as).beside(path.parent)
    train, test = load_data(dataset, manifest.fingerprints)
    outline = manifest.outline
    if (outline.num_classes, outline.image_shape) != (train.num_classes, train.image_shape):
        raise ValueError("its model is not made for the classes and the images of its data set")
    model = restore_network(rebuild(Model, manifest.model, manifest.found_as), outline)
    model.load_state_dict(content["model"])
    try:
        poisoned, triggered = (
            PoisonedSet(train, **content["poisoned"]),
            TriggeredSet(**content["triggered"]),
        )
        triggered.require_of(test)
    except DataError as error:  # not of the data set, which is the one that was attacked
        raise ValueError(str(error)) from None
    result = AttackResult(
        folder=path.parent,
        manifest=manifest,
        model=model,
        train=poisoned,
        test=test,
        triggered=triggered,
        trigger=content["trigger"],
        clean_predictions=content["predictions"]["clean"].long(),
        triggered_predictions=content["predictions"]["triggered"].long(),
    )
    _require_agreement(result)
    return result


def _require_agreement(result: AttackResult) -> None:
    """Raise `ValueError` when predictions or triggered images are not those of the data set's test
    split.
    """
    test, triggered = result.test, result.triggered
    if (
        result.clean_predictions.shape != test.labels.shape
        or result.triggered_predictions.shape != triggered.true_labels.shape
    ):
        raise ValueError("it needs one prediction for each clean and each triggered test image")
    paired = triggered.paired
    if not torch.equal(test.labels[triggered.indices[paired]], triggered.true_labels[paired]):
        raise ValueError("the true labels of its triggered images are not those of the test split")
    if bool(
        (
            torch.cat([result.clean_predictions, result.triggered_predictions]) >= test.num_classes
        ).any()
    ):
        raise ValueError(f"it predicts a class beyond the {test.num_classes} that there are")


def rebuild(kind: type[Family], record: PluginRecord, found_as: Mapping[str, str]) -> Family:
    """Return the data set or the model with which a result was made. found_as: the names in the
    manifest.

    Raises `UnsafeFile` when it comes from a file that nobody has named in this process: a result
    must not be able to run code.
    """
    word = kind.kind
    name = found_as.get(word, record.name)
    if is_file(name) and not is_imported(name):
        raise UnsafeFile(
            f"this result was made with the {word} {name}, and reading it would run that file; "
            f"if you trust the file, name it: `--{word} {name}`"
        )
    return create(kind, name, record.params)


def restore_network(plugin: Model, outline: Outline) -> Classifier:
    """Return a network like that of a result, whose parameters still have to be loaded."""
    return plugin.restore(outline.num_classes, outline.image_shape, outline.mean, outline.std)


def load_data(plugin: DataSet, fingerprints: Fingerprints) -> tuple[ImageSet, ImageSet]:
    """Return the train and the test split. Raises `DataError` when they are not the images of that
    fingerprint.
    """
    train, test = plugin.load("train"), plugin.load("test")
    for split, images in (("train", train), ("test", test)):
        if images.fingerprint() != getattr(fingerprints, split):
            raise DataError(
                f"the {split} split of {plugin.name!r} has changed since this result was made; "
                "restore it, or attack again"
            )
    return train, test
