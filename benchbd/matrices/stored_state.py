"""The state of each planned cell in the store of results: whether it is stored, whether the result
can be believed, and whether it is to be run again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from benchbd.errors import RecordError
from benchbd.matrices.plan import PlannedCell
from benchbd.plugin.earlier_sources import changed_sources
from benchbd.record.cell import Cell
from benchbd.record.cells import ResultStore

StateName = Literal["reused", "stale", "missing", "broken", "again", "excluded"]
TO_RUN: tuple[StateName, ...] = ("missing", "broken", "again")


@dataclass(frozen=True, eq=False)
class StoredState:
    """A planned cell and its stored result. `reason` says why a stored result is not believed or
    not used.
    """

    planned: PlannedCell
    state: StateName
    stored: Cell | None = None
    reason: str = ""


def stored_state(
    planned: PlannedCell, store: ResultStore, present: Collection[str], rerun: Collection[str] = ()
) -> StoredState:
    """Return the state of a cell. present: the names of all stored results. rerun: the statuses to
    run again, which may include `stale`.
    """
    if planned.result_name not in present:
        return StoredState(
            planned, "excluded" if planned.excluded else "missing", reason=planned.excluded
        )
    try:
        stored = store.read(planned.result_name, planned.key)
    except RecordError as error:
        return StoredState(planned, "excluded" if planned.excluded else "broken", reason=str(error))
    if stored is None:
        return StoredState(planned, "missing")
    stale = changed_sources(planned.sources, stored.provenance)
    if not planned.excluded and (stored.status.code in rerun or (stale and "stale" in rerun)):
        return StoredState(planned, "again", stored, reason=stale or stored.status.code)
    return StoredState(planned, "stale" if stale else "reused", stored, reason=stale)
