"""The run of a matrix: missing cells become tasks, an executor runs them, and each cell ends as one
result file, whether it succeeded or not.

What is stored and complete is not run again unless somebody asks for it.
"""

from __future__ import annotations

import secrets
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from benchbd.errors import Unwritable
from benchbd.executing.executor import Limits, Session
from benchbd.executing.scheduler import Scheduler, Tally, Task
from benchbd.executing.stage import AttackSpec, DefenseSpec, Ended, write_spec
from benchbd.matrices.leftovers import act_as_controller
from benchbd.matrices.plan import PlannedAttack, PlannedCell
from benchbd.matrices.planned_matrix import PlannedMatrix
from benchbd.matrices.stored_state import StoredState
from benchbd.plugin.hooks import Observers
from benchbd.record.attack_files import is_stored
from benchbd.record.cell import Cell, Flags, Status
from benchbd.record.claim import claim_path, is_held
from benchbd.record.defense_result import by_key
from benchbd.record.keys import SCHEMA
from benchbd.record.provenance import now, provenance
from benchbd.running.attacking import require_writable
from benchbd.running.protocol import Choice


@dataclass(eq=False)
class Matrix(PlannedMatrix):
    """A matrix that can be run."""

    device: str = "auto"
    observers: Observers = field(default_factory=Observers)
    controller: str = field(default_factory=lambda: secrets.token_hex(4))

    def limits(self, seconds: float | None, gib: float | None) -> Limits:
        """Return what a stage may use. seconds: of time; None takes the limit of the protocol. gib:
        of memory; None sets no limit.
        """
        return Limits(
            seconds=self.protocol.time_limit if seconds is None else seconds,
            memory=None if gib is None else round(gib * 2**30),
            threads=self.protocol.threads,
            device=self.device,
        )

    def run(
        self,
        session: Session,
        watch: Callable[[MatrixProgress], None] = lambda _: None,
        fail_fast: bool = False,
    ) -> None:
        """Run what is missing. A failure becomes a row and cancels nothing else, unless `fail_fast`
        is set.

        Raises `Unwritable` when results can no longer be stored. The cells that were finished
        before are complete.
        """
        progress = MatrixProgress(
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
        with act_as_controller(self.records, self.results, self.controller):
            scheduler.run(self._tasks(progress))

    def _tasks(self, progress: MatrixProgress) -> list[Task]:
        """Return one task for each attacked model with missing cells. The tasks of its defenses
        follow from it.
        """
        wanted: dict[str, list[StoredState]] = defaultdict(list)
        for missing in self.todo():
            wanted[missing.planned.job.key].append(missing)
        return [self._attack_task(cells, progress) for cells in wanted.values()]

    def _attack_task(self, cells: list[StoredState], progress: MatrixProgress) -> Task:
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
            label=f"{job.attack.label}, seed {job.seed}",
            spec=lambda retries: write_spec(
                self.attack_spec(job, retries, _clean_shares(cells)), self.controller
            ),
            done=lambda: (
                is_stored(self.folder_of(job), job.key, replaced)
                or all(self._has(cell) for cell in cells)
            ),
            busy=lambda: is_held(claim_path(self.folder_of(job))),
            finished=finished,
        )

    def _defense_task(self, cell: StoredState, progress: MatrixProgress) -> Task:
        planned = cell.planned

        def finished(how: Ended, retries: int) -> Iterable[Task]:
            self._settled(how)
            self._end(cell, how, "defense", retries, progress)
            return []

        return Task(
            label=f"{planned.job.attack.label}, {planned.defense.label}, seed {planned.job.seed}",
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
        self, cell: StoredState, how: Ended, stage: str, retries: int, progress: MatrixProgress
    ) -> None:
        """Store a failure as a row, unless numbers of the cell were stored before, here or by
        another controller.
        """
        failed = how.code != "ok" and not self._has(cell)
        if failed:
            self._write_failure(cell.planned, how.status(stage), retries)
        progress.ended[how.code if failed else "ok"] += 1
        self._announce(cell.planned)

    def _announce(self, cell: PlannedCell) -> None:
        """Tell the observers what is stored for a cell that has ended."""
        if self.observers and (stored := self.store.read(cell.result_name, cell.key)) is not None:
            self.observers.tell("cell_finished", cell=stored.to_json())

    def _settled(self, how: Ended) -> None:
        """Raise `Unwritable` when a stage could not store its result, because the next stages could
        not either.
        """
        if how.code == "unwritable":
            raise Unwritable(
                f"{how.reason}. Finished cells are stored; make room and give the same command "
                "again"
            )
        if how.code == "crashed":
            for folder in (self.results, self.records):
                require_writable(folder)

    def attack_spec(
        self, job: PlannedAttack, retries: int = 0, clean_shares: tuple[float, ...] = ()
    ) -> AttackSpec:
        """Return the stage that makes the attack result of a job. clean_shares: what the defenses
        that wait for it will draw.
        """
        return AttackSpec(
            ingredients=job.ingredients,
            clean_shares=clean_shares,
            found_as=job.found_as,
            folder=self.folder_of(job),
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
            attack_folder=self.folder_of(cell.job),
            found_as=cell.job.found_as,
            defense=Choice(name=defense.found_as, params=defense.record.params),
            clean_budget=cell.clean_budget,
            protocol=cell.protocol,
            evaluate_every=self.protocol.recipe.evaluate_every,
            results=self.results.absolute(),
            result=cell.result_name,
        )

    def _defense_folder(self, cell: PlannedCell) -> Path:
        return by_key(self.folder_of(cell.job), cell.defense.record.name, cell.key)

    def _replaced_attack(self, job: PlannedAttack) -> str:
        attacked = self.attacked.get(job.folder_name)  # None where none of its cells is missing
        return attacked.digest if attacked is not None and attacked.state == "again" else ""

    def _has(self, cell: StoredState) -> bool:
        return self.store.has(cell.planned.result_name, cell.planned.key, _replaced(cell))

    def _write_failure(self, planned: PlannedCell, status: Status, retries: int = 0) -> None:
        """Write the row of a cell without numbers."""
        cell = Cell(
            schema=SCHEMA,
            key=planned.key,
            protocol=planned.protocol,
            status=status,
            cell=planned.coordinates,
            provenance=provenance(planned.sources, now()) | {"retries": retries},
            flags=Flags(oracle=planned.defense.oracle),
        )
        self.store.write(planned.result_name, cell)


@dataclass
class MatrixProgress:
    """The progress of a matrix: the number of its cells, how many were stored before, how many
    ended in which way, and what is running.
    """

    total: int
    reused: int
    ended: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    tally: Tally = field(default_factory=Tally)

    @property
    def done(self) -> int:
        """The number of cells that are stored, whether before or since."""
        return self.reused + sum(self.ended.values())

    @property
    def failures(self) -> int:
        """Cells that ended with neither numbers nor `n/a`."""
        return sum(count for code, count in self.ended.items() if code not in ("ok", "n/a"))


def _clean_shares(cells: list[StoredState]) -> tuple[float, ...]:
    """Return the shares of clean data that the defenses of these cells draw; none where one of them
    draws nothing, so that it can do without.
    """
    shares = [each.planned.clean_share for each in cells]
    drawn = [share for share in shares if share is not None]
    return tuple(drawn) if len(drawn) == len(shares) else ()


def _replaced(cell: StoredState) -> str:
    """Return the digest of the stored result of a cell that is to be run again."""
    return cell.stored.digest if cell.state == "again" and cell.stored is not None else ""
