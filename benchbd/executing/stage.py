"""Stages: the pieces of work that executors run. One file says what is to be done, another how it
ended.

A stage is a process or a task of its own: it gets the path of its spec and nothing else, takes a
claim on its work, and leaves `<spec>.ended.json`. Running a stage again that is done already costs
nothing. Two controllers may work in one folder, so each gives its specs names of its own; the log
of the work is one for both.
"""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from benchbd.attack.attack import Attack
from benchbd.data.budget import require_drawable
from benchbd.data.images import ImageSet
from benchbd.defense.defense import Defense
from benchbd.engine.hardware import use_threads
from benchbd.engine.process_state import preserve_settings
from benchbd.engine.recipe import Recipe
from benchbd.errors import BenchbdError, NotApplicable, RecordError, Unwritable
from benchbd.plugin.registry import create, load
from benchbd.record.attack_files import is_stored
from benchbd.record.attack_result import load_attack_result
from benchbd.record.cell import Cell, Status, StatusCode
from benchbd.record.cells import ResultStore, read_cell
from benchbd.record.claim import Busy, claim, claim_path
from benchbd.record.controller import spec_name
from benchbd.record.files import read_json, write_bytes, write_json
from benchbd.record.ingredients import Ingredients
from benchbd.record.keys import KEY_DIGITS, UNDEFENDED
from benchbd.record.plugin_record import PluginRecord
from benchbd.report.sheet import thumbnails
from benchbd.running.attack_job import AttackJob
from benchbd.running.attacking import make
from benchbd.running.protocol import Choice
from benchbd.running.status import status_of
from benchbd.victim.dataset import DataSet
from benchbd.victim.model import Model

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class _Spec(BaseModel):
    """What both kinds of stages need. argv: the command that a person gave. replaced: the digest of
    the stored result that is to be made again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    folder: Path
    device: str = "auto"
    threads: int | None = None
    retries: int = 0
    argv: tuple[str, ...] = ()
    replaced: str = ""


class AttackSpec(_Spec):
    """Make the attack result `folder`/attack_result.pt. found_as: the plugins' names, by kind.

    clean_shares: what the defenses that wait for the result will draw as clean data. Where there
    are some and none of them can be drawn, nothing is trained.
    """

    stage: Literal["attack"] = "attack"
    ingredients: Ingredients
    found_as: dict[str, str]
    clean_shares: tuple[float, ...] = ()

    def run(self) -> None:
        job = self._job()
        if job.key != self.ingredients.attack_key:
            raise RecordError(
                f"the plugins here give the key {job.key[:KEY_DIGITS]}, the plan says "
                f"{self.ingredients.attack_key[:KEY_DIGITS]}; plan again with the same versions"
            )
        with claim(claim_path(self.folder)):
            if not is_stored(self.folder, job.key, self.replaced):
                make(job, self.folder, self._require_drawable)

    def _require_drawable(self, train: ImageSet) -> None:
        """Raise `ConfigError` or `DataError` where no waiting defense could draw its clean data."""
        if self.clean_shares:
            require_drawable(train, max(self.clean_shares))

    def _job(self) -> AttackJob:
        made_of, found_as = self.ingredients, self.found_as
        return AttackJob(
            create(DataSet, found_as["dataset"], made_of.dataset.params),
            create(Model, found_as["model"], made_of.model.params),
            create(Attack, found_as["attack"], made_of.attack.params),
            Recipe(**made_of.recipe),
            made_of.seed,
            self.device,
        )


class DefenseSpec(_Spec):
    """Defend the attack result in `attack_folder` and store the cell as `result` under `results`.

    found_as: the names of the attack's plugins, by kind.
    """

    stage: Literal["defense"] = "defense"
    key: str
    attack_folder: Path
    found_as: dict[str, str]
    defense: Choice
    clean_budget: float
    protocol: str
    evaluate_every: int
    results: Path
    result: str

    def run(self) -> None:
        store = ResultStore(self.results)
        for kind in ("dataset", "model"):
            # what the plan names may be a file, which the attack result alone may not make us run
            load(kind, self.found_as[kind])
        defense = create(Defense, self.defense.name, self.defense.params)
        with claim(claim_path(self.folder)):
            if not store.has(self.result, self.key, self.replaced):
                made = self._make(defense, store)
                self._keep_reference(made, store)
        self._keep_images()

    def _make(self, defense: Defense, store: ResultStore) -> Cell:
        result = defense.defense(
            self.attack_folder,
            device=self.device,
            clean_budget=self.clean_budget,
            evaluate_every=self.evaluate_every,
            protocol=self.protocol,
            save_path=self.folder,
        )
        if result.cell.key != self.key:
            raise RecordError(
                f"this cell has the key {result.cell.key[:KEY_DIGITS]}, the plan says "
                f"{self.key[:KEY_DIGITS]}; "
                "plan again"
            )
        noted = result.cell.provenance | {"retries": self.retries}
        store.write(
            self.result, result.cell.model_copy(update={"provenance": noted}), result.predictions()
        )
        return result.cell

    def _keep_reference(self, cell: Cell, store: ResultStore) -> None:
        """Store the undefended cell of this attacked model, if the stored one was made on another
        processor and is therefore of other weights.
        """
        undefended = create(Defense, UNDEFENDED, {})
        about = cell.cell.defended_by(PluginRecord.of(undefended))
        key, name = about.key(cell.protocol), about.result_name(cell.protocol)
        if not store.path(name).exists() or store.reference(name, key, cell.attacked_model):
            return
        attack = load_attack_result(self.attack_folder)
        result = undefended.against(
            attack, device=self.device, clean_budget=self.clean_budget, protocol=self.protocol
        )
        place = result.cell.reference_place
        store.write(place, result.cell, result.predictions())

    def _keep_images(self) -> None:
        """Store a strip of the attack's images beside its results, if no other cell has stored it
        yet. After a change of the attack or its data the name is another, and so the strip is new.
        """
        stored = self.results / self.result
        path = stored.parent.parent / read_cell(stored).cell.strip_name
        if not path.is_file():
            attack = load_attack_result(self.attack_folder)
            if (content := thumbnails(attack.test, attack.triggered)) is not None:
                write_bytes(path, content)


Spec = Annotated[AttackSpec | DefenseSpec, Field(discriminator="stage")]
_SPEC: TypeAdapter[AttackSpec | DefenseSpec] = TypeAdapter(Spec)


class Ended(BaseModel):
    """How a stage ended.

    code: `"ok"`, `"n/a"` where the method does not apply, or what went wrong: `"failed"`,
    `"diverged"`, `"timeout"`, `"oom"` (out of memory), `"crashed"` or `"cancelled"`; `"busy"` when
    another process is at the same work, so that it is tried again later; `"unwritable"` when
    nothing can be stored any more, which ends the matrix. killed: somebody else ended it, so it is
    worth another try. reason: for people, in one sentence. error, traceback: what was raised.

    >>> Ended(code="timeout", reason="it ran past its limit of 60 s and was stopped").killed
    False
    """

    model_config = ConfigDict(frozen=True)

    code: StatusCode | Literal["busy", "unwritable"]
    killed: bool = False
    reason: str = ""
    error: str = ""
    traceback: str = ""

    def status(self, stage: str) -> Status:
        """Return the status of a cell whose stage, "attack" or "defense", ended like this."""
        assert self.code != "busy" and self.code != "unwritable"
        return Status(
            code=self.code,
            reason=self.reason,
            stage=stage,
            error=self.error,
            traceback=self.traceback,
        )


def ended_path(spec: Path) -> Path:
    """Return the file that says how the stage of `spec` ended."""
    return spec.with_suffix(".ended.json")


def log_path(spec: Path) -> Path:
    """Return the file for what the stage of `spec` prints: `attack.log` or `defense.log` in the
    folder of its work.

    >>> log_path(Path("work/attack-example.spec.json")).as_posix()
    'work/attack.log'
    """
    return spec.with_name(f"{spec.name.partition('-')[0]}.log")


def run_stage(path: Path) -> Ended:
    """Run the stage whose spec is the file `path`, in this process, and leave a file beside it that
    says how it ended.

    It takes the claim on the work itself. Whatever the stage raises becomes an `Ended` with its
    reason; only exits and interrupts pass.

    >>> ended = run_stage(Path("absent.spec.json"))
    >>> ended.code, ended.error
    ('failed', 'RecordError')
    """
    ended = _ended(lambda: _run(path))
    write_ended(path, ended)
    return ended


def write_ended(spec: Path, ended: Ended) -> None:
    """Leave a file beside `spec` that says how its stage ended. `run_stage` does so itself; an
    executor calls this for a stage that could not.

    >>> write_ended(spec, Ended(code="timeout", reason="its job ran out of time"))
    >>> read_ended(spec).code
    'timeout'
    """
    write_json(ended_path(spec), ended.model_dump())


def read_ended(spec: Path) -> Ended | None:
    """Return how the stage of `spec` ended, or None if it died before it could say so.

    >>> read_ended(Path("absent.spec.json")) is None
    True
    """
    try:
        return Ended.model_validate(read_json(ended_path(spec)))
    except (RecordError, ValueError):
        return None


def read_spec(path: Path) -> AttackSpec | DefenseSpec:
    """Return what the stage of that spec is to do. Raises `RecordError` when there is no
    such file.
    """
    return _SPEC.validate_python(read_json(path))


def write_spec(spec: AttackSpec | DefenseSpec, controller: str) -> Path:
    """Store a spec in the folder of its work, under a name that no other controller uses."""
    path = spec.folder / spec_name(spec.stage, controller)
    ended_path(path).unlink(missing_ok=True)
    return write_json(path, spec.model_dump(mode="json"))


def remove_spec(path: Path) -> None:
    """Remove a spec and the note of its end, once both have been read. A folder that cannot be
    written to keeps them.
    """
    for each in (path, ended_path(path)):
        with suppress(OSError):
            each.unlink()


def _run(path: Path) -> None:
    spec = read_spec(path)
    if spec.argv:
        sys.argv = list(spec.argv)  # the provenance of a result names them
    with preserve_settings(), use_threads(spec.threads):
        spec.run()


def _ended(work: Callable[[], None]) -> Ended:
    try:
        work()
    except Busy as error:
        return Ended(code="busy", reason=str(error))
    except Unwritable as error:
        return Ended(code="unwritable", reason=str(error))
    except Exception as error:  # whatever a plugin raises becomes a row with its reason
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            return Ended(code="unwritable", reason=str(error))
        expected = isinstance(error, NotApplicable | BenchbdError)
        trace = "" if expected else "".join(traceback.format_exception(error))[-4000:]
        return Ended(
            code=status_of(error),
            reason=str(error)[:2000],
            error=type(error).__name__,
            traceback=trace,
        )
    return Ended(code="ok")
