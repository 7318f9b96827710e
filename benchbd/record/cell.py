"""One cell: a (data set, model, attack, defense, seed) with everything that was measured for it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from benchbd.measure.shares import Counts, Curve, Metrics, OperatingPoint
from benchbd.record.ingredients import Coordinates
from benchbd.record.keys import SCHEMA, key_of, reference_name, result_name
from benchbd.record.part import CountedSteps, StoredPart

StatusCode = Literal["ok", "n/a", "failed", "oom", "timeout", "crashed", "diverged", "cancelled"]


class Status(StoredPart):
    """The way in which a cell ended. Every status but `ok` gives the reason."""

    code: StatusCode = "ok"
    reason: str = ""
    stage: str = ""
    error: str = ""
    traceback: str = ""


class Predictions(StoredPart):
    """The place of the file of predicted classes, and its digest."""

    file: str
    sha256: str


class CellCost(CountedSteps):
    """Wall-clock seconds, peak memory in bytes, samples that passed through the network, steps of
    optimizers in the defense, and clean samples handed over.
    """

    attack_seconds: float = 0.0
    defense_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    peak_bytes: int = 0
    device: str = "cpu"
    precision: str = "fp32"
    forward_samples: int = 0
    backward_samples: int = 0
    clean_samples: int = 0


class Flags(StoredPart):
    """oracle: the method saw something that no defender has. stale: made by other code than
    today's.
    """

    oracle: bool = False
    stale: bool = False
    deterministic: bool = True


class CellSummary(StoredPart):
    """The facts about a cell that a listing of thousands of cells needs: its coordinates, its
    status, its shares and its doubts. The rest of a stored cell is ignored.
    """

    model_config = ConfigDict(extra="ignore")

    schema_: int = Field(SCHEMA, alias="schema")
    key: str
    protocol: str
    status: Status = Status()
    cell: Coordinates
    metrics: Metrics | None = None
    doubts: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Its name in a store of results, `<protocol>/<attack>/<defense>/<seed>-<key>.json`."""
        about = self.cell
        labels = (about.attack.label, about.defense.label)
        return result_name(self.protocol, *labels, about.seed, self.key)


class Cell(CellSummary):
    """The stored result of one cell, the same in JSON and in Python.

    attacked_model: the digest of the weights that the defense started from, by which cells of one
    key are told apart that were made on different processors; empty in results made before version
    0.2.
    """

    model_config = ConfigDict(extra="forbid")

    attacked_model: str = ""
    counts: Counts | None = None
    baseline: Metrics | None = None
    detection: dict[str, Any] | None = None
    predictions: Predictions | None = None
    curves: tuple[Curve, ...] = ()
    operating_points: tuple[OperatingPoint, ...] = ()
    notes: dict[str, Any] = Field(default_factory=dict)
    cost: CellCost = CellCost()
    provenance: dict[str, Any] = Field(default_factory=dict)
    flags: Flags = Flags()

    digest: str = ""

    @property
    def reference_place(self) -> str:
        """Its name in a store as the reference of one attacked model, beside the cell of the same
        key that other defenses are compared with.
        """
        return reference_name(self.place, self.attacked_model)

    def sealed(self) -> Cell:
        """Return this cell with the digest of its own content, by which later changes are
        noticed.
        """
        return self.model_copy(update={"digest": _digest_of(self.to_json())})

    def is_sealed(self) -> bool:
        """Return whether its digest is that of its content."""
        return is_whole(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return its content as plain JSON values."""
        unknown = set() if self.attacked_model else {"attacked_model"}
        return self.model_dump(mode="json", by_alias=True, exclude=unknown)


def is_whole(content: dict[str, Any]) -> bool:
    """Return whether a stored cell has the digest that it names. It is judged by the content of the
    file, not by the values that are read from it.
    """
    try:
        return bool(content.get("digest") == _digest_of(content))
    except (ValueError, TypeError):
        # infinity and NaN, which Python reads although JSON has neither; tensors
        return False


def _digest_of(content: dict[str, Any]) -> str:
    return key_of("digest", {name: value for name, value in content.items() if name != "digest"})
