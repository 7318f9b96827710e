"""The matrix: every cell of a protocol, from what is stored to what is missing to what has been done.

The plan is compared with the store of results; what is missing becomes tasks; an executor runs them; each cell ends
as one result file, well or not. Nothing that is stored and whole is done again unless it is asked for.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from benchbd.errors import RecordError
from benchbd.plugin.provenance import source_digest
from benchbd.record.attack_result import is_stored, record_dir
from benchbd.record.cell import Cell, Coordinates, Flags, Status
from benchbd.record.cells import ResultStore
from benchbd.record.keys import SCHEMA
from benchbd.record.provenance import now, provenance
from benchbd.running.executor import Session
from benchbd.running.plan import AttackStage, PlannedCell, Selection, plan
from benchbd.running.protocol import Choice, Protocol
from benchbd.running.scheduler import Scheduler, Tally, Task
from benchbd.running.stage import AttackSpec, DefenseSpec, Ended, write_spec

State = Literal["reused", "stale", "missing", "broken", "again", "excluded"]
TODO: tuple[State, ...] = ("missing", "broken", "again")


def results_dir() -> Path:
    """Where results of matrices are stored."""
    return Path("leaderboard/results")


@dataclass(frozen=True, eq=False)
class Standing:
    """A planned cell and what is stored of it. `reason` says why a stored result is not believed or used."""

    planned: PlannedCell
    state: State
    stored: Cell | None = None
    reason: str = ""


@dataclass(eq=False)
class Matrix:
    """A protocol, or a part of it, over a store of results. `rerun` are statuses to do again, `stale` among them."""

    protocol: Protocol
    selection: Selection = field(default_factory=Selection)
    rerun: frozenset[str] = frozenset()
    results: Path = field(default_factory=results_dir)
    records: Path = field(default_factory=record_dir)
    device: str = "auto"

    @cached_property
    def store(self) -> ResultStore:
        return ResultStore(self.results)

    @cached_property
    def standings(self) -> tuple[Standing, ...]:
        """How every cell of the plan stands, as of the first look."""
        present = self.store.names(self.protocol.name)
        return tuple(self._standing(cell, present) for cell in plan(self.protocol, self.selection))

    def todo(self) -> list[Standing]:
        return [standing for standing in self.standings if standing.state in TODO]

    def cells(self) -> list[Cell]:
        """The stored cells of the plan, as they are now."""
        found = []
        for standing in self.standings:
            cell = self._read(standing.planned)
            found += [cell] if cell is not None else []
        return found

    def run(self, session: Session, watch: Callable[[Progress], None] = lambda _: None, fail_fast: bool = False) -> None:
        """Do what is missing. A failure is a row and cancels nothing else, unless `fail_fast`."""
        progress = Progress(total=len(self.standings), reused=len(self.standings) - len(self.todo()))
        for standing in self.standings:
            if standing.state == "excluded":
                self._write_failure(standing.planned, Status(code="n/a", reason=standing.planned.excluded, stage="plan"))

        def tell(tally: Tally) -> None:
            progress.tally = tally
            watch(progress)

        def ended(code: str) -> None:
            progress.ended[code] += 1

        scheduler = Scheduler(session, tell, lambda: fail_fast and progress.failures > 0)
        scheduler.run(self._tasks(ended))

    def estimate(self) -> tuple[float, int]:
        """Seconds of work left judging by stored results, and how many stages nothing is known of."""
        known = _Timings.of(cell for cell in (s.stored for s in self.standings) if cell is not None)
        todo = self.todo()
        stages = {standing.planned.stage.key: standing.planned.stage for standing in todo}
        times = [known.defense(s.planned.defense.label) for s in todo]
        times += [known.attack(stage.attack.label) for stage in stages.values() if not self._attacked(stage)]
        return sum(t for t in times if t is not None), sum(t is None for t in times)

    def _standing(self, planned: PlannedCell, present: set[str]) -> Standing:
        if planned.result_name not in present:
            return Standing(planned, "excluded" if planned.excluded else "missing")
        try:
            stored = self.store.read(planned.result_name, planned.key)
        except RecordError as error:
            return Standing(planned, "broken", reason=str(error))
        if stored is None:
            return Standing(planned, "missing")
        stale = _changed_sources(planned, stored)
        if stored.status.code in self.rerun or (stale and "stale" in self.rerun):
            return Standing(planned, "again", stored, reason=stale or stored.status.code)
        return Standing(planned, "stale" if stale else "reused", stored, reason=stale)

    def _tasks(self, ended: Callable[[str], None]) -> list[Task]:
        """One task per attacked model that something is missing of; its defenses follow from it."""
        wanted: dict[str, list[PlannedCell]] = defaultdict(list)
        for standing in self.todo():
            if standing.reason and standing.state != "missing":
                self.store.remove(standing.planned.result_name)
            wanted[standing.planned.stage.key].append(standing.planned)
        return [self._attack_task(cells, ended) for cells in wanted.values()]

    def _attack_task(self, cells: list[PlannedCell], ended: Callable[[str], None]) -> Task:
        stage = cells[0].stage

        def finished(how: Ended, retries: int) -> Iterable[Task]:
            if how.code == "ok":
                return [self._defense_task(cell, ended) for cell in cells]
            for cell in cells:
                self._write_failure(cell, how.status("attack"), retries)
                ended(how.code)
            return []

        return Task(
            f"{stage.attack.label}, seed {stage.seed}", lambda: self._attack_spec(stage), lambda: self._attacked(stage), finished
        )

    def _defense_task(self, cell: PlannedCell, ended: Callable[[str], None]) -> Task:
        def finished(how: Ended, retries: int) -> Iterable[Task]:
            if how.code != "ok":
                self._write_failure(cell, how.status("defense"), retries)
            ended(how.code)
            return []

        label = f"{cell.stage.attack.label}, {cell.defense.label}, seed {cell.stage.seed}"
        return Task(label, lambda: self._defense_spec(cell), lambda: self._read(cell) is not None, finished)

    def _attack_spec(self, stage: AttackStage) -> Path:
        folder = self._folder(stage)
        spec = AttackSpec(
            key=stage.key,
            folder=folder,
            device=self.device,
            threads=self.protocol.threads,
            dataset=_choice(stage.dataset),
            model=_choice(stage.model),
            attack=_choice(stage.attack),
            recipe=stage.recipe.params,
            seed=stage.seed,
        )
        return write_spec(folder / "attack.spec.json", spec)

    def _defense_spec(self, cell: PlannedCell) -> Path:
        folder = self._folder(cell.stage) / "defense" / f"{cell.defense.provided.name}-{cell.key[:8]}"
        spec = DefenseSpec(
            key=cell.key,
            folder=folder,
            device=self.device,
            threads=self.protocol.threads,
            attack_folder=self._folder(cell.stage),
            defense=_choice(cell.defense),
            clean_budget=cell.clean_budget,
            protocol=cell.protocol,
            evaluate_every=self.protocol.recipe.evaluate_every,
            results=self.results.absolute(),
            result=cell.result_name,
        )
        return write_spec(folder / "defense.spec.json", spec)

    def _folder(self, stage: AttackStage) -> Path:
        return self.records.absolute() / stage.folder_name

    def _attacked(self, stage: AttackStage) -> bool:
        return is_stored(self._folder(stage), stage.key)

    def _read(self, cell: PlannedCell) -> Cell | None:
        try:
            return self.store.read(cell.result_name, cell.key)
        except RecordError:
            return None

    def _write_failure(self, planned: PlannedCell, status: Status, retries: int = 0) -> None:
        """The row of a cell that gave no numbers."""
        stage = planned.stage
        plugins = [stage.dataset.plugin, stage.model.plugin, stage.attack.plugin, planned.defense.plugin]
        cell = Cell(
            schema=SCHEMA,
            key=planned.key,
            protocol=planned.protocol,
            status=status,
            cell=Coordinates(
                dataset=stage.dataset.provided,
                model=stage.model.provided,
                attack=stage.attack.provided,
                defense=planned.defense.provided,
                recipe=stage.recipe.params,
                clean_budget=planned.clean_budget,
                seed=stage.seed,
            ),
            provenance=provenance(plugins, now()) | {"retries": retries},
            flags=Flags(oracle=bool(getattr(planned.defense.plugin, "oracle", False))),
        )
        self.store.write(planned.result_name, cell)


@dataclass
class Progress:
    """How far a matrix is: cells in all, those that were there, those that ended and how, what is under way."""

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


@dataclass(frozen=True)
class _Timings:
    """Seconds that stored stages took, by name."""

    attacks: dict[str, Sequence[float]]
    defenses: dict[str, Sequence[float]]

    @classmethod
    def of(cls, cells: Iterable[Cell]) -> _Timings:
        attacks: dict[str, list[float]] = defaultdict(list)
        defenses: dict[str, list[float]] = defaultdict(list)
        for cell in cells:
            if cell.status.code == "ok":
                attacks[cell.cell.attack.name].append(cell.cost.attack_seconds)
                defenses[cell.cell.defense.name].append(cell.cost.defense_seconds + cell.cost.evaluation_seconds)
        return cls(dict(attacks), dict(defenses))

    def attack(self, name: str) -> float | None:
        return statistics.fmean(self.attacks[name]) if name in self.attacks else None

    def defense(self, name: str) -> float | None:
        return statistics.fmean(self.defenses[name]) if name in self.defenses else None


def _changed_sources(planned: PlannedCell, stored: Cell) -> str:
    """Which plugins' sources are not those that the stored result was made with."""
    stage = planned.stage
    today = {
        f"{p.kind}.{p.name}": source_digest(type(p))
        for p in (n.plugin for n in (stage.dataset, stage.model, stage.attack, planned.defense))
    }
    then: dict[str, Any] = stored.provenance.get("sources", {})
    changed = [name for name, digest in today.items() if then.get(name, digest) != digest]
    return f"made with another source of {', '.join(changed)}" if changed else ""


def _choice(named: Any) -> Choice:
    """A plugin as a spec names it, with all its parameters."""
    return Choice(name=named.provided.name, params=named.provided.params)
