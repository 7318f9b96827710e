"""The manifest of an attacked model: its ingredients, and the facts that were measured when it was
made.

It is stored in every attack result, and beside it as JSON.
"""

from __future__ import annotations

from typing import Any

from pydantic import AliasChoices, Field, ValidationError

from benchbd.errors import RecordError
from benchbd.measure.shares import CurvePoint
from benchbd.record.ingredients import Ingredients
from benchbd.record.part import CountedSteps, StoredPart


class Outline(StoredPart):
    """The facts from which a network is built. mean, std: of each channel, for images in [0, 1]."""

    num_classes: int
    image_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Fingerprints(StoredPart):
    """Digests of the images and labels of both splits of a data set."""

    train: str
    test: str


class SampleCounts(StoredPart):
    """The number of training samples that the attacker changed. poisoned: those with a changed
    label, or of a clean-label attack. cover: those that carry the trigger and keep their label.
    """

    poisoned: int
    cover: int


class AttackCost(CountedSteps):
    """The cost of an attack: wall-clock seconds, samples that passed through the network, and peak
    memory in bytes, with the device and the number format.
    """

    seconds: float = 0.0
    forward_samples: int = 0
    backward_samples: int = 0
    peak_bytes: int = 0
    device: str = "cpu"
    precision: str = "fp32"


class Manifest(Ingredients):
    """The facts that are stored about an attacked model beside its tensors.

    family: of the attack, or `model-only`. found_as: the names by which its plugins are found.
    epochs: shares measured along the training. imported: of a result that another tool made, what
    that tool says of it. clean_budget: the defender's share of the clean data, where it came with
    the result. sha256: of the result file, in the JSON beside it alone.
    """

    key: str
    family: str = Field(validation_alias=AliasChoices("family", "stage"))
    found_as: dict[str, str] = Field(default_factory=dict)
    outline: Outline
    class_names: tuple[str, ...]
    fingerprints: Fingerprints
    counts: SampleCounts
    epochs: tuple[CurvePoint, ...] = ()
    cost: AttackCost = AttackCost()
    quality: dict[str, Any] | None = None
    poison_quality: dict[str, Any] | None = None
    imported: dict[str, Any] | None = None
    clean_budget: float | None = None
    provenance: dict[str, Any] = Field(default_factory=dict)
    sha256: str = ""

    @classmethod
    def read(cls, content: Any, where: object) -> Manifest:
        """Return the manifest that a file holds. Raises `RecordError`, which names the file by
        `where`.
        """
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "all of it"
            raise RecordError(
                f"the manifest of {where} is not one of benchbd: {place}: {first['msg']}; "
                "make the result again"
            ) from None

    @property
    def sources(self) -> dict[str, str]:
        """Digests of the sources of its plugins, by name."""
        return dict(self.provenance.get("sources", {}))

    def to_json(self) -> dict[str, Any]:
        """Return the manifest in the form that `read` takes. Optional fields that are empty are
        left out.
        """
        unknown = {name for name in _OPTIONAL if not getattr(self, name)}
        return self.model_dump(mode="json", exclude=unknown)


_OPTIONAL = ("quality", "poison_quality", "imported", "clean_budget", "sha256")
