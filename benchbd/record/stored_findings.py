"""What an analysis found, as it is stored: numbers, notes and the names of its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from benchbd.errors import RecordError
from benchbd.record.files import read_json, write_json
from benchbd.record.keys import SCHEMA, key_of
from benchbd.record.part import StoredPart
from benchbd.record.plugin_record import PluginRecord

FINDINGS = "findings.json"
"""The name of the file, in a folder of the analysis."""


class StoredFindings(StoredPart):
    """The findings of one analysis of one attack result.

    defenses: the keys of the cells whose models it looked at, by their names. left_out: why a
    defense that was asked for was not looked at, by its name. captions: how to read each picture,
    by its name. files: all that was written beside this.
    """

    schema_: int = Field(SCHEMA, alias="schema")
    key: str
    analysis: PluginRecord
    attack: str
    defenses: dict[str, str]
    numbers: dict[str, dict[str, float]] = Field(default_factory=dict)
    not_applicable: str = ""
    left_out: dict[str, str] = Field(default_factory=dict)
    captions: dict[str, str] = Field(default_factory=dict)
    notes: dict[str, Any] = Field(default_factory=dict)
    files: tuple[str, ...] = ()
    seconds: float = 0.0
    provenance: dict[str, Any] = Field(default_factory=dict)
    digest: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return its content as plain JSON values."""
        return self.model_dump(mode="json", by_alias=True)

    def sealed(self) -> StoredFindings:
        """Return these findings with the digest of their own content."""
        return self.model_copy(update={"digest": self._digest()})

    def is_sealed(self) -> bool:
        """Return whether the digest is that of the content."""
        return self.digest == self._digest()

    def _digest(self) -> str:
        return key_of("digest", self.model_dump(mode="json", by_alias=True, exclude={"digest"}))


def findings_key(attack: str, defenses: dict[str, str], analysis: PluginRecord) -> str:
    """Return the key of the findings of an analysis: the attack result, the cells of the defenses
    that are shown, the analysis with its parameters.
    """
    return key_of("findings", attack, sorted(defenses.items()), analysis.identity())


def findings_folder(attack: Path, analysis: str, key: str) -> Path:
    """Return the folder of findings beside an attack result: under the name of the analysis, or,
    where findings of another key lie there, under its name and the key.
    """
    plain = attack / "analysis" / analysis
    stored = read_findings(plain)
    return (
        plain if stored is None or stored.key == key else plain.with_name(f"{analysis}-{key[:8]}")
    )


def read_findings(folder: Path) -> StoredFindings | None:
    """Return the findings in a folder, or None where there are none that are whole."""
    try:
        found = StoredFindings.model_validate(read_json(folder / FINDINGS))
    except (RecordError, ValidationError):
        return None
    whole = found.is_sealed() and all((folder / name).is_file() for name in found.files)
    return found if whole else None


def write_findings(folder: Path, findings: StoredFindings) -> StoredFindings:
    """Write the findings, sealed, and return them. Raises `Unwritable`."""
    sealed = findings.sealed()
    write_json(folder / FINDINGS, sealed.to_json())
    return sealed
