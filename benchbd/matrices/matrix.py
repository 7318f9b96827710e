"""The matrix: every cell of a protocol, from what is stored to what is missing to what has been
done.

The plan is compared with the store of results; what is missing becomes tasks; an executor runs
them; each cell ends as one result file, well or not. Nothing that is stored and whole is done again
unless it is asked for.
"""

from __future__ import annotations

import math
import secrets
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from benchbd.errors import ConfigError, Unwritable
from benchbd.executing.executor import Limits, Session
from benchbd.executing.scheduler import Scheduler, Tally, Task
from benchbd.executing.stage import AttackSpec, DefenseSpec, Ended, write_spec
from benchbd.matrices.plan import PlannedCell, Selection, plan
from benchbd.matrices.rerun import require_rerun
from benchbd.matrices.stored_state import TO_RUN, StoredState, changed_sources, stored_state
from benchbd.matrices.timings import Estimate, Timings
from benchbd.plugin.hooks import Observers
from benchbd.plugin.provenance import name_for
from benchbd.record.attack_result import ATTACK_FILE, MANIFEST, is_stored, record_dir
from benchbd.record.cell import Cell, Flags, Status
from benchbd.record.cells import ResultStore
from benchbd.record.claim import claim_path, is_held
from benchbd.record.defense_result import by_key
from benchbd.record.files import read_json
from benchbd.record.keys import SCHEMA
from benchbd.record.manifest import Manifest
from benchbd.record.provenance import now, provenance
from benchbd.running.attack_job import AttackJob
from benchbd.running.attacking import require_writable
from benchbd.running.protocol import Choice, Protocol


@dataclass(frozen=True)
class AttackState:
    """How an attack result stands that cells to do start from. `reason` says what is wrong with one
    that is there.
    """

    state: Literal["stored", "stale", "missing", "broken", "again"]
    reason: str = ""
    digest: str = ""

    @property
    def to_make(self) -> bool:
        return self.state in ("missing", "broken", "again")


def results_dir() -> Path:
    """Where results of matrices are stored."""
    return Path("leaderboard/results")


@dataclass(eq=False)
class Matrix:
    """A protocol, or a part of it, over a store of results. rerun: what to do again, of the words
    in `RERUN`.
    """

    protocol: Protocol
    selection: Selection = field(default_factory=Selection)
    rerun: frozenset[str] = frozenset()
    results: Path = field(default_factory=results_dir)
    records: Path = field(default_factory=record_dir)
    device: str = "auto"
    observers: Observers = field(default_factory=Observers)
    controller: str = field(default_factory=lambda: secrets.token_hex(4))

    def __post_init__(self) -> None:
        require_rerun(self.rerun)

    @cached_property
    def store(self) -> ResultStore:
        return ResultStore(self.results)

    @cached_property
    def standings(self) -> tuple[StoredState, ...]:
        """How every cell of the plan stands, as of the first look."""
        present = self.store.names(self.protocol.name)
        return tuple(
            stored_state(cell, self.store, present, self.rerun)
            for cell in plan(self.protocol, self.selection)
        )

    def todo(self) -> list[StoredState]:
        return [stored_state for stored_state in self.standings if stored_state.state in TO_RUN]

    @cached_property
    def attacked(self) -> dict[str, AttackState]:
        """How the attack results stand that the cells to do start from, by the name of their
        folder.
        """
        jobs = {s.planned.job.folder_name: s.planned.job for s in self.todo()}
        return {name: self._attacked(job) for name, job in jobs.items()}

    def cells(self) -> list[Cell]:
        """The stored cells of the plan, as they are now."""
        present = self.store.names(self.protocol.name)
        stored = (stored_state(s.planned, self.store, present).stored for s in self.standings)
        return [cell for cell in stored if cell is not None]

    def limits(self, seconds: float | None, gib: float | None) -> Limits:
        """What a stage may use: `seconds`, else what the protocol says; `gib` of memory. Raises
        `ConfigError`.
        """
        for name, limit in (("time_limit (seconds)", seconds), ("memory_limit (GiB)", gib)):
            if limit is not None and not (isinstance(limit, int | float) and 0 < limit < math.inf):
                raise ConfigError(
                    f"{name}: expected a number above 0, got {limit!r}; leave it out to set none"
                )
        return Limits(
            seconds=self.protocol.time_limit if seconds is None else seconds,
            memory=None if gib is None else round(gib * 2**30),
            threads=self.protocol.threads,
            device=self.device,
        )

    def run(
        self,
        session: Session,
        watch: Callable[[Progress], None] = lambda _: None,
        fail_fast: bool = False,
    ) -> None:
        """Do what is missing. A failure is a row and cancels nothing else, unless `fail_fast`.

        Raises `Unwritable` when nothing can be stored any more; what was finished by then is whole.
        """
        progress = Progress(
            total=len(self.standings), reused=len(self.standings) - len(self.todo())
        )
        for folder in (self.results, self.records):
            require_writable(folder)
        for excluded in (s.planned for s in self.standings if s.state == "excluded"):
            self._write_failure(
                excluded, Status(code="n/a", reason=excluded.excluded, stage="plan")
            )

        def tell(tally: Tally) -> None:
            progress.tally = tally
            watch(progress)

        scheduler = Scheduler(session, tell, lambda: fail_fast and progress.failures > 0)
        scheduler.run(self._tasks(progress))

    def estimate(self) -> Estimate:
        """The work left, judging by stored results."""
        todo = [stored_state.planned for stored_state in self.todo()]
        jobs = {cell.job.folder_name: cell.job for cell in todo}
        to_attack = [jobs[name] for name, attacked in self.attacked.items() if attacked.to_make]
        return Timings.of(self.standings).estimate(to_attack, todo)

    def _tasks(self, progress: Progress) -> list[Task]:
        """One task per attacked model that something is missing of; its defenses follow from it."""
        wanted: dict[str, list[StoredState]] = defaultdict(list)
        for missing in self.todo():
            wanted[missing.planned.job.key].append(missing)
        return [self._attack_task(cells, progress) for cells in wanted.values()]

    def _attack_task(self, cells: list[StoredState], progress: Progress) -> Task:
        job = cells[0].planned.job
        replaced = self._replaced_attack(job)

        def finished(how: Ended, retries: int) -> Iterable[Task]:
            self._settled(how)
            if how.code == "ok":
                return [self._defense_task(cell, progress) for cell in cells]
            for cell in cells:
                self._end(cell, how, "attack", retries, progress)
            return []

        return Task(
            label=f"{job.attack.record.label}, seed {job.seed}",
            spec=lambda retries: write_spec(self._attack_spec(job, retries), self.controller),
            done=lambda: (
                is_stored(self._folder(job), job.key, replaced)
                or all(self._has(cell) for cell in cells)
            ),
            busy=lambda: is_held(claim_path(self._folder(job))),
            finished=finished,
        )

    def _defense_task(self, cell: StoredState, progress: Progress) -> Task:
        planned = cell.planned

        def finished(how: Ended, retries: int) -> Iterable[Task]:
            self._settled(how)
            self._end(cell, how, "defense", retries, progress)
            return []

        return Task(
            label=f"{planned.job.attack.record.label}, {planned.defense.record.label}, seed "
            f"{planned.job.seed}",
            spec=lambda retries: self._begin(cell, retries),
            done=lambda: self._has(cell),
            busy=lambda: is_held(claim_path(self._defense_folder(planned))),
            finished=finished,
        )

    def _begin(self, cell: StoredState, retries: int) -> Path:
        about = cell.planned.coordinates
        self.observers.tell(
            "cell_started",
            attack=about.attack.label,
            defense=about.defense.label,
            seed=about.seed,
        )
        return write_spec(self._defense_spec(cell, retries), self.controller)

    def _end(
        self, cell: StoredState, how: Ended, stage: str, retries: int, progress: Progress
    ) -> None:
        """Store a failure as a row, unless numbers were stored before it came, here or by another
        controller.
        """
        failed = how.code != "ok" and not self._has(cell)
        if failed:
            self._write_failure(cell.planned, how.status(stage), retries)
        progress.ended[how.code if failed else "ok"] += 1
        self._announce(cell.planned)

    def _announce(self, cell: PlannedCell) -> None:
        """Tell the observers what has been stored of a cell that has ended."""
        if self.observers and (stored := self.store.read(cell.result_name, cell.key)) is not None:
            self.observers.tell("cell_finished", cell=stored.to_json())

    def _settled(self, how: Ended) -> None:
        """Raise `Unwritable` when a stage could not store what it had made: the next ones could
        not, either.
        """
        if how.code == "unwritable":
            raise Unwritable(
                f"{how.reason}. Finished cells are stored; make room and give the same command "
                "again"
            )
        if how.code == "crashed":
            for folder in (self.results, self.records):
                require_writable(folder)

    def _attack_spec(self, job: AttackJob, retries: int) -> AttackSpec:
        return AttackSpec(
            ingredients=job.ingredients,
            found_as=job.found_as,
            folder=self._folder(job),
            device=self.device,
            threads=self.protocol.threads,
            retries=retries,
            argv=tuple(sys.argv),
            replaced=self._replaced_attack(job),
        )

    def _defense_spec(self, state: StoredState, retries: int) -> DefenseSpec:
        cell, defense = state.planned, state.planned.defense
        return DefenseSpec(
            key=cell.key,
            folder=self._defense_folder(cell),
            device=self.device,
            threads=self.protocol.threads,
            retries=retries,
            argv=tuple(sys.argv),
            replaced=_replaced(state),
            attack_folder=self._folder(cell.job),
            found_as=cell.job.found_as,
            defense=Choice(name=name_for(type(defense.plugin)), params=defense.record.params),
            clean_budget=cell.clean_budget,
            protocol=cell.protocol,
            evaluate_every=self.protocol.recipe.evaluate_every,
            results=self.results.absolute(),
            result=cell.result_name,
        )

    def _folder(self, job: AttackJob) -> Path:
        return self.records.absolute() / job.folder_name

    def _defense_folder(self, cell: PlannedCell) -> Path:
        return by_key(self._folder(cell.job), cell.defense.record.name, cell.key)

    def _attacked(self, job: AttackJob) -> AttackState:
        folder = self._folder(job)
        if not is_stored(folder, job.key):
            return (
                AttackState("broken", "is not what its manifest says")
                if (folder / ATTACK_FILE).exists()
                else AttackState("missing")
            )
        manifest = Manifest.read(read_json(folder / MANIFEST), folder / MANIFEST)
        changed = changed_sources(job.plugins, manifest.provenance)
        if not changed:
            return AttackState("stored", digest=manifest.sha256)
        state: Literal["again", "stale"] = "again" if "stale" in self.rerun else "stale"
        return AttackState(state, f"was {changed}", manifest.sha256)

    def _replaced_attack(self, job: AttackJob) -> str:
        attacked = self.attacked[job.folder_name]
        return attacked.digest if attacked.state == "again" else ""

    def _has(self, cell: StoredState) -> bool:
        return self.store.has(cell.planned.result_name, cell.planned.key, _replaced(cell))

    def _write_failure(self, planned: PlannedCell, status: Status, retries: int = 0) -> None:
        """The row of a cell that gave no numbers."""
        cell = Cell(
            schema=SCHEMA,
            key=planned.key,
            protocol=planned.protocol,
            status=status,
            cell=planned.coordinates,
            provenance=provenance(planned.plugins, now()) | {"retries": retries},
            flags=Flags(oracle=planned.defense.plugin.oracle),
        )
        self.store.write(planned.result_name, cell)


@dataclass
class Progress:
    """How far a matrix is: cells in all, those that were there, those that ended and how, what is
    under way.
    """

    total: int
    reused: int
    ended: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    tally: Tally = field(default_factory=Tally)

    @property
    def done(self) -> int:
        return self.reused + sum(self.ended.values())

    @property
    def failures(self) -> int:
        return sum(count for code, count in self.ended.items() if code not in ("ok", "n/a"))


def _replaced(cell: StoredState) -> str:
    """The digest of what is stored of a cell that is to be made again."""
    return cell.stored.digest if cell.state == "again" and cell.stored is not None else ""
