"""The trust in a result, and the file in which people who checked it note that.

    as stated               the file is whole; its numbers are its author's word
    recomputed              the metrics follow from the stored predictions and the labels of the
                            data set; that a defense made these predictions is its author's word
    reproduced by another   the cell was run again by somebody else; every prediction came out the
                            same, or, on another kind of processor, ACC, ASR and RC came out where
                            one more seed would have them (benchbd/audit/agreement.py)

The notes (`trust.json`: key -> digest, level, difference, utility) are made by `benchbd verify
--note` and `benchbd reproduce --note`, not by who submits. A note holds for the very content that
was checked and for no later one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from benchbd.errors import RecordError
from benchbd.measure.target_rate import Utility
from benchbd.record.files import read_json, write_json

TrustLevel = Literal["as stated", "recomputed", "reproduced by another"]
TRUST_LEVELS: tuple[TrustLevel, ...] = ("as stated", "recomputed", "reproduced by another")

EARLIER = {"self-reported": "as stated", "reproduced": "reproduced by another"}
"""The names of levels in earlier files of notes."""


def _todays(level: Any) -> Any:
    return EARLIER.get(level, level) if isinstance(level, str) else level


class TrustNote(BaseModel):
    """One checked result. Of one that was run again, `difference` is the largest of any metric, and
    `exact` says whether every prediction came out the same. `utility`: what was
    counted from its predictions beside its metrics.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str
    level: Annotated[TrustLevel, BeforeValidator(_todays)]
    difference: float | None = None
    exact: bool | None = None
    utility: Utility | None = None


Ledger = Mapping[str, TrustNote]
_LEDGER = TypeAdapter(dict[str, TrustNote])


def read_ledger(path: Path) -> dict[str, TrustNote]:
    """Return the notes in a file; none when there is no such file. Raises `RecordError`."""
    if not path.exists():
        return {}
    try:
        return _LEDGER.validate_python(read_json(path))
    except ValidationError as error:
        raise RecordError(
            f"{path} is not a file of notes on trust: {error.errors()[0]['msg']}; remove it and "
            "verify again"
        ) from None


def add_notes(path: Path, notes: Ledger) -> Path:
    """Write notes into the file beside those that are there. For the same content a level never
    sinks, and what was counted stays.
    """
    ledger = read_ledger(path)
    for key, note in notes.items():
        known = ledger.get(key)
        ledger[key] = note if known is None or known.digest != note.digest else _both(known, note)
    return write_json(path, _LEDGER.dump_python(ledger, mode="json", exclude_none=True))


def _both(known: TrustNote, new: TrustNote) -> TrustNote:
    """Return the note that two notes on the same content give together."""
    higher = new if TRUST_LEVELS.index(new.level) >= TRUST_LEVELS.index(known.level) else known
    return higher.model_copy(update={"utility": new.utility or known.utility})


def utility_of(ledger: Ledger, key: str, digest: str) -> Utility | None:
    """Return the figures that were counted from the predictions of the result with that key and
    digest; None if nobody counted them.
    """
    note = ledger.get(key)
    return note.utility if note is not None and note.digest == digest else None


def level_of(ledger: Ledger, key: str, digest: str) -> TrustLevel:
    """Return the level of trust in the result with that key and digest. It is "as stated" unless
    the ledger has a note on exactly that content.
    """
    note = ledger.get(key)
    return note.level if note is not None and note.digest == digest else "as stated"


def lowest(levels: list[TrustLevel]) -> TrustLevel:
    """Return the level of a figure that is made of several results: the lowest of theirs."""
    return min(levels, key=TRUST_LEVELS.index, default="as stated")
