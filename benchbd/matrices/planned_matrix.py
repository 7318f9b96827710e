"""A planned matrix: every cell of a protocol, its state in the store of results, and the work that
is left.

Nothing is run here, and torch is imported only if the class of a plugin has to be asked, so that a
listing is quick.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from benchbd.matrices.plan import PlannedAttack, Selection, plan
from benchbd.matrices.planned_plugin import Resolve, by_class
from benchbd.matrices.rerun import require_rerun
from benchbd.matrices.stored_state import TO_RUN, StoredState, stored_state
from benchbd.matrices.timings import Estimate, Timings
from benchbd.plugin.earlier_sources import changed_sources
from benchbd.record.attack_files import ATTACK_FILE, MANIFEST_FILE, is_stored, record_dir
from benchbd.record.cell import Cell
from benchbd.record.cells import RESULTS_FOLDER, ResultStore
from benchbd.record.files import read_json
from benchbd.record.manifest import Manifest
from benchbd.running.protocol import Protocol


@dataclass(frozen=True)
class AttackState:
    """The state of an attack result from which missing cells start. `reason` says what is wrong
    with a stored one.
    """

    state: Literal["stored", "stale", "missing", "broken", "again"]
    reason: str = ""
    digest: str = ""

    @property
    def to_make(self) -> bool:
        return self.state in ("missing", "broken", "again")


@dataclass(eq=False)
class PlannedMatrix:
    """A protocol, or a part of it, over a store of results. rerun: what to run again, in words of
    `RERUN`. resolve: the function that describes a plugin to the plan.
    """

    protocol: Protocol
    selection: Selection = field(default_factory=Selection)
    rerun: frozenset[str] = frozenset()
    results: Path = RESULTS_FOLDER
    records: Path = field(default_factory=record_dir)
    resolve: Resolve = by_class

    def __post_init__(self) -> None:
        require_rerun(self.rerun)

    @cached_property
    def store(self) -> ResultStore:
        return ResultStore(self.results)

    @cached_property
    def standings(self) -> tuple[StoredState, ...]:
        """The state of every cell of the plan, as found at the first access."""
        present = self.store.names(self.protocol.name)
        return tuple(
            stored_state(cell, self.store, present, self.rerun)
            for cell in plan(self.protocol, self.selection, self.resolve)
        )

    def todo(self) -> list[StoredState]:
        """Return the cells that are to run."""
        return [stored_state for stored_state in self.standings if stored_state.state in TO_RUN]

    @cached_property
    def attacked(self) -> dict[str, AttackState]:
        """The states of the attack results from which the missing cells start, by the name of their
        folder.
        """
        jobs = {s.planned.job.folder_name: s.planned.job for s in self.todo()}
        return {name: self._attacked(job) for name, job in jobs.items()}

    def cells(self) -> list[Cell]:
        """Return the stored cells of the plan, as they are now."""
        present = self.store.names(self.protocol.name)
        stored = (stored_state(s.planned, self.store, present).stored for s in self.standings)
        return [cell for cell in stored if cell is not None]

    def estimate(self) -> Estimate:
        """Return the work that is left, judging by stored results."""
        todo = [stored_state.planned for stored_state in self.todo()]
        jobs = {cell.job.folder_name: cell.job for cell in todo}
        to_attack = [jobs[name] for name, attacked in self.attacked.items() if attacked.to_make]
        return Timings.of(self.standings).estimate(to_attack, todo)

    def folder_of(self, job: PlannedAttack) -> Path:
        """Return the folder in which the attacked model is or will be stored."""
        return self.records.absolute() / job.folder_name

    def _attacked(self, job: PlannedAttack) -> AttackState:
        folder = self.folder_of(job)
        if not is_stored(folder, job.key):
            return (
                AttackState("broken", "is not what its manifest says")
                if (folder / ATTACK_FILE).exists()
                else AttackState("missing")
            )
        manifest = Manifest.read(read_json(folder / MANIFEST_FILE), folder / MANIFEST_FILE)
        changed = changed_sources(job.sources, manifest.provenance)
        if not changed:
            return AttackState("stored", digest=manifest.sha256)
        state: Literal["again", "stale"] = "again" if "stale" in self.rerun else "stale"
        return AttackState(state, f"was {changed}", manifest.sha256)
