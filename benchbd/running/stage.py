"""Stages: the pieces of work that executors run. A file says what to do, a file says how it ended.

A stage is a process or a task of its own: it gets the path of its spec and nothing else, takes a claim on its work,
and leaves `<spec>.ended.json`. Doing a stage again that is done already is free.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from benchbd.attack.attack import Attack
from benchbd.defense.defense import Defense
from benchbd.engine.hardware import use_threads
from benchbd.engine.recipe import Recipe
from benchbd.errors import BenchbdError, NotApplicable, RecordError
from benchbd.plugin.registry import create
from benchbd.record.attack_result import is_stored
from benchbd.record.cell import Code, Status
from benchbd.record.cells import ResultStore
from benchbd.record.files import read_json, write_json
from benchbd.running.attacking import AttackJob, make
from benchbd.running.claim import Busy, claim
from benchbd.running.protocol import Choice
from benchbd.running.status import status_of
from benchbd.victim.dataset import DataSet
from benchbd.victim.model import Model


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    key: str
    folder: Path
    device: str = "auto"
    threads: int | None = None


class AttackSpec(_Spec):
    """Make the attack result `folder`/attack_result.pt."""

    stage: Literal["attack"] = "attack"
    dataset: Choice
    model: Choice
    attack: Choice
    recipe: dict[str, Any]
    seed: int

    def run(self) -> None:
        job = AttackJob(
            cast(DataSet, create("dataset", self.dataset.name, self.dataset.params)),
            cast(Model, create("model", self.model.name, self.model.params)),
            cast(Attack, create("attack", self.attack.name, self.attack.params)),
            Recipe(**self.recipe),
            self.seed,
            self.device,
        )
        if job.key != self.key:
            raise RecordError(
                f"the plugins here give the key {job.key[:12]}, the plan says {self.key[:12]}; plan again with the same versions"
            )
        with claim(self.folder / ".claim"):
            if not is_stored(self.folder, self.key):
                make(job, self.folder)


class DefenseSpec(_Spec):
    """Defend the attack result in `attack_folder` and store the cell as `result` under `results`."""

    stage: Literal["defense"] = "defense"
    attack_folder: Path
    defense: Choice
    clean_budget: float
    protocol: str
    evaluate_every: int
    results: Path
    result: str

    def run(self) -> None:
        store = ResultStore(self.results)
        defense = cast(Defense, create("defense", self.defense.name, self.defense.params))
        with claim(self.folder / ".claim"):
            result = defense.defense(
                self.attack_folder,
                device=self.device,
                clean_budget=self.clean_budget,
                evaluate_every=self.evaluate_every,
                protocol=self.protocol,
                save_path=self.folder,
            )
            if result.cell.key != self.key:
                raise RecordError(f"this cell has the key {result.cell.key[:12]}, the plan says {self.key[:12]}; plan again")
            store.write(self.result, result.cell, result.predictions())


Spec = Annotated[AttackSpec | DefenseSpec, Field(discriminator="stage")]
_SPEC: TypeAdapter[AttackSpec | DefenseSpec] = TypeAdapter(Spec)


class Ended(BaseModel):
    """How a stage ended. `busy`: another process is at the same work; killed: somebody else ended it."""

    model_config = ConfigDict(frozen=True)

    code: Code | Literal["busy"]
    killed: bool = False
    reason: str = ""
    error: str = ""
    traceback: str = ""

    def status(self, stage: str) -> Status:
        assert self.code != "busy"
        return Status(code=self.code, reason=self.reason, stage=stage, error=self.error, traceback=self.traceback)


def ended_path(spec: Path) -> Path:
    return spec.with_suffix(".ended.json")


def run_stage(path: Path) -> Ended:
    """Run the stage whose spec is at `path` and leave how it ended beside it. Raises nothing but exits and interrupts."""
    ended = _ended(lambda: _run(path))
    write_json(ended_path(path), ended.model_dump())
    return ended


def read_ended(spec: Path) -> Ended | None:
    """How the stage ended, if it lived to say so."""
    try:
        return Ended.model_validate(read_json(ended_path(spec)))
    except (RecordError, ValueError):
        return None


def write_spec(path: Path, spec: AttackSpec | DefenseSpec) -> Path:
    ended_path(path).unlink(missing_ok=True)
    return write_json(path, spec.model_dump(mode="json"))


def _run(path: Path) -> None:
    spec = _SPEC.validate_python(read_json(path))
    with use_threads(spec.threads):
        spec.run()


def _ended(work: Callable[[], None]) -> Ended:
    try:
        work()
    except Busy as error:
        return Ended(code="busy", reason=str(error))
    except Exception as error:  # whatever a plugin raises becomes a row with its reason
        expected = isinstance(error, NotApplicable | BenchbdError)
        trace = "" if expected else "".join(traceback.format_exception(error))[-4000:]
        return Ended(code=status_of(error), reason=str(error)[:2000], error=type(error).__name__, traceback=trace)
    return Ended(code="ok")
