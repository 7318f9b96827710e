"""One cell: a (data set, model, attack, defense, seed) with everything that was measured for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from benchbd.errors import ConfigError
from benchbd.measure.shares import Counts, Curve, Metrics, OperatingPoint
from benchbd.plugin.loose import LOCAL_FILE
from benchbd.plugin.plugin import Plugin
from benchbd.plugin.provenance import provider_of
from benchbd.record.files import sha256
from benchbd.record.keys import SCHEMA, Identity, key_of

StatusCode = Literal["ok", "n/a", "failed", "oom", "timeout", "crashed", "diverged", "cancelled"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Status(_Part):
    """How the cell ended; everything but `ok` says why."""

    code: StatusCode = "ok"
    reason: str = ""
    stage: str = ""
    error: str = ""
    traceback: str = ""


class PluginRecord(_Part):
    """A plugin as it was used, and who provided it. files: digests of the files that its parameters
    name.
    """

    name: str
    provider: str
    version: str
    results_version: int
    params: dict[str, Any]
    aside: tuple[str, ...] = ()
    files: dict[str, str] = {}

    @classmethod
    def of(cls, plugin: Plugin) -> PluginRecord:
        provider, version = provider_of(type(plugin))
        return cls(
            name=plugin.name,
            provider=provider,
            version=version,
            results_version=plugin.results_version,
            params=plugin.params,
            aside=plugin.aside,
            files=_digests(plugin),
        )

    def identity(self) -> Identity:
        """What of it is part of a key: versions of packages are not, the version of results is.

        A file that somebody is still writing has no version but its digest, so that a change gives
        new results. A file that a parameter names counts by its content, wherever it lies.
        """
        params = {
            name: self.files.get(name, value)
            for name, value in self.params.items()
            if name not in self.aside
        }
        return [
            self.name,
            self.results_version,
            params,
            *([self.version] if self.provider == LOCAL_FILE else []),
        ]


def _digests(plugin: Plugin) -> dict[str, str]:
    """Digests of the files that parameters name, but for those that only say where something lies.
    Raises `ConfigError`.
    """
    paths = {
        name: getattr(plugin, name)
        for name in type(plugin).model_fields
        if name not in plugin.aside
    }
    return {
        name: _file_digest(plugin, name, path)
        for name, path in paths.items()
        if isinstance(path, Path) and path.is_file()
    }


def _file_digest(plugin: Plugin, name: str, path: Path) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise ConfigError(
            f"{plugin.name}: {name}: cannot read {path}: {error.strerror}; name another file"
        ) from None


class Coordinates(_Part):
    """What the cell is about."""

    dataset: PluginRecord
    model: PluginRecord
    attack: PluginRecord
    defense: PluginRecord
    recipe: dict[str, Any]
    clean_budget: float
    seed: int


class Predictions(_Part):
    """Where the predicted classes lie, and the digest of that file."""

    file: str
    sha256: str


class CellCost(_Part):
    """Seconds on the wall, peak bytes of memory, samples through the network, clean samples handed
    over.
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


class Flags(_Part):
    """oracle: the method saw something that no defender has. stale: made by other code than
    today's.
    """

    oracle: bool = False
    stale: bool = False
    deterministic: bool = True


class Cell(_Part):
    """The stored result of one cell, the same in JSON and in Python."""

    schema_: int = Field(SCHEMA, alias="schema")
    key: str
    protocol: str
    status: Status = Status()
    cell: Coordinates
    metrics: Metrics | None = None
    counts: Counts | None = None
    baseline: Metrics | None = None
    detection: dict[str, Any] | None = None
    predictions: Predictions | None = None
    curves: tuple[Curve, ...] = ()
    operating_points: tuple[OperatingPoint, ...] = ()
    notes: dict[str, Any] = {}
    doubts: tuple[str, ...] = ()
    cost: CellCost = CellCost()
    provenance: dict[str, Any] = {}
    flags: Flags = Flags()

    digest: str = ""

    def sealed(self) -> Cell:
        """This cell with the digest of its own content, by which later changes are noticed."""
        return self.model_copy(update={"digest": _digest_of(self.to_json())})

    def is_sealed(self) -> bool:
        return is_whole(self.to_json())

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True)


def is_whole(content: dict[str, Any]) -> bool:
    """Whether a stored cell has the digest that it names; judged by what the file holds, not by
    what it is read as.
    """
    try:
        return bool(content.get("digest") == _digest_of(content))
    except (
        ValueError,
        TypeError,
    ):  # infinity and what is no number, which JSON does not know and Python reads; tensors
        return False


def _digest_of(content: dict[str, Any]) -> str:
    return key_of("digest", {name: value for name, value in content.items() if name != "digest"})
