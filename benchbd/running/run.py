"""The run of attacks and their defenses, from prepared plugins to measured cells. `benchbd run` and
`benchbd.run` both call `execute`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from benchbd.defense.defense import Defense
from benchbd.engine.hardware import use_threads
from benchbd.engine.progress import report_progress
from benchbd.errors import ConfigError, Unwritable
from benchbd.plugin.earlier_sources import changed_sources
from benchbd.plugin.hooks import Observers
from benchbd.plugin.provenance import sources
from benchbd.plugin.registry import is_file, load
from benchbd.record.attack_files import ATTACK_FILE, record_dir
from benchbd.record.attack_result import AttackResult, load_attack_result
from benchbd.record.cell import Cell
from benchbd.record.defense_result import folder_of
from benchbd.record.files import announcing
from benchbd.record.ingredients import Ingredients
from benchbd.record.plugin_record import PluginRecord
from benchbd.record.stored_seconds import StoredSeconds, attack_seconds, defense_seconds
from benchbd.report.duration import duration
from benchbd.report.frame import frame
from benchbd.report.notebook import html_of
from benchbd.report.sheet import SHEET
from benchbd.report.table import AttackSummary, cells_table, detection_line, failure, plain
from benchbd.running.attack_job import AttackJob
from benchbd.running.attacking import load_or_make_attack_result
from benchbd.running.defending import defend, failed_cell, find_stored_cell
from benchbd.running.options import RunOptions
from benchbd.running.preparing import PreparedRun

if TYPE_CHECKING:
    from pandas import DataFrame

LONG_SECONDS = 30.0
"""Expected seconds from which a piece of work is announced; shorter work is over before that has
been read.
"""


class Say(Protocol):
    """A function that shows a line of text to the person who waits."""

    def __call__(self, line: str, always: bool = False) -> None:
        """Show a line. always: also where progress is shown by bars alone."""


def say_nothing(line: str, always: bool = False) -> None:
    """Show nothing to anybody."""


@dataclass(frozen=True, eq=False)
class AttackOutcome:
    """One attack result of a run, with the cells of its defenses.

    undefended: the summary of the attack that tables show; None if the attack failed. path: the
    file of the attack result; None if the attack failed. reused: whether the result was stored
    before. cells: one for each defense. stored: the keys of the cells that were stored before.
    """

    undefended: AttackSummary | None
    path: Path | None
    reused: bool
    cells: tuple[Cell, ...]
    stored: frozenset[str] = frozenset()

    def pictures(self) -> Iterator[Path]:
        """The pictures that were drawn: of the images, and of each defense its curves and what it
        drew itself.
        """
        if self.path is None:
            return
        yield self.path.parent / SHEET
        for cell in self.cells:
            folder = folder_of(self.path.parent, cell.cell.defense.name, cell.key)
            yield from sorted(folder.glob("*.png"))

    @cached_property
    def attack(self) -> AttackResult:
        """The attack result, read from its file. Raises `ConfigError` where the attack failed."""
        if self.path is None:
            raise ConfigError("this attack failed and left no result; its cells say why")
        return load_attack_result(self.path)


@dataclass(frozen=True, eq=False)
class Run:
    """What `benchbd.run` returns.

    attacked: each attack at each seed with its cells, in the order in which they were named. The
    text of a run is the table that the command `benchbd run` prints.
    """

    attacked: tuple[AttackOutcome, ...]

    @property
    def attack(self) -> AttackResult:
        """The attack result of a run with one attack at one seed. Raises `ConfigError` for any
        other run.
        """
        if len(self.attacked) != 1:
            raise ConfigError(
                f"this run has {len(self.attacked)} attack results, not one; each of `attacked` "
                "has its own"
            )
        return self.attacked[0].attack

    @property
    def reused(self) -> bool:
        """Return whether all attack results of the run were stored before."""
        return all(each.reused for each in self.attacked)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells of all defenses, one attack result after the other."""
        return tuple(cell for each in self.attacked for cell in each.cells)

    def frame(self) -> DataFrame:
        """Return the cells as a pandas table, one row each."""
        return frame(self.cells)

    def __repr__(self) -> str:
        """Return the table that `benchbd run` prints."""
        shown = [each.undefended for each in self.attacked if each.undefended]
        return plain(
            *(each.header for each in shown),
            cells_table([(each.undefended, each.cells) for each in self.attacked]),
            *filter(None, map(detection_line, self.cells)),
            *map(failure, self.cells),
        )

    def _repr_html_(self) -> str:
        """The table and the pictures, for a notebook."""
        return html_of(repr(self), (path for each in self.attacked for path in each.pictures()))


def execute(prepared: PreparedRun, observers: Observers, say: Say = say_nothing) -> Run:
    """Run all attacks that are not stored yet, then every defense against each of them. A defense
    that fails becomes a cell that says so. The same holds for the defenses of an attack that fails,
    if the run has other attacks.
    """
    options = prepared.options
    with observe(observers):
        if options.result_file is None:
            jobs = prepared.jobs
            return Run(tuple(_run_attack(*job, prepared, observers, say) for job in jobs))
        attack = load_attack_result(options.result_file)
        _require_as_named(attack, options)
        with use_threads(_threads(prepared, attack.manifest, "stored attack result", say)):
            return Run((_run_defenses(attack, True, "", prepared, observers, say),))


def _threads(prepared: PreparedRun, ingredients: Ingredients, what: str, say: Say) -> int:
    """Return the number of cores to compute with, and show the person what will be computed."""
    count, about = prepared.threads(ingredients), ingredients
    names = f"{about.attack.name} on {about.dataset.name}, {about.model.label}, seed {about.seed}"
    say(f"{names}: {what}, on {count} thread{'s' * (count > 1)}")
    return count


def announce(name: str, known: StoredSeconds | None, say: Say) -> None:
    """Say how long a piece of work will take, where stored results of the same work tell it."""
    if known is not None and known.seconds >= LONG_SECONDS:
        of = f"{known.count} stored result{'s' * (known.count > 1)}"
        say(f"{name}: about {duration(known.seconds)}, judging by {of}", always=True)


def _run_attack(
    job: AttackJob, folder: Path, prepared: PreparedRun, observers: Observers, say: Say
) -> AttackOutcome:
    """Run one attack at one seed, then its defenses."""
    again = prepared.options.rerun == "attack"
    there = not again and (folder / ATTACK_FILE).is_file()
    what = "stored attack result" if there else "attacking"
    if not there:
        announce(job.attack.name, attack_seconds(job.ingredients, record_dir()), say)
    with use_threads(_threads(prepared, job.ingredients, what, say)):
        try:
            attack, reused = load_or_make_attack_result(job, folder, again, prepared.require_usable)
        except Unwritable:  # the next result could not be stored either
            raise
        except Exception as error:
            if len(prepared.jobs) == 1:  # there is no other attack to go on with
                raise
            return _failed_attack(job, prepared, error)
        today = [sources(type(plugin)) for plugin in job.plugins]
        stale = changed_sources(today, attack.manifest.provenance) if reused else ""
        return _run_defenses(attack, reused, stale, prepared, observers, say)


def _failed_attack(job: AttackJob, prepared: PreparedRun, error: Exception) -> AttackOutcome:
    protocol = prepared.protocol
    records = [PluginRecord.of(defense) for defense in prepared.defenses]
    cells = [job.ingredients.coordinates(each, protocol.clean_budget) for each in records]
    return AttackOutcome(
        None, None, False, tuple(failed_cell(cell, protocol.id, "attack", error) for cell in cells)
    )


def _run_defenses(
    attack: AttackResult,
    reused: bool,
    stale: str,
    prepared: PreparedRun,
    observers: Observers,
    say: Say,
) -> AttackOutcome:
    """Run the defenses against an attack result. stale: which of its sources have changed since it
    was made.
    """
    cells, stored = [], set()
    for defense in prepared.defenses:
        cell = find_stored_cell(attack, defense, prepared)
        if cell is None:
            known = defense_seconds(attack.manifest, PluginRecord.of(defense), record_dir())
            announce(defense.name, known, say)
            cell = _run_defense(attack, defense, prepared, observers)
        else:
            stored.add(cell.key)
            say(f"{attack.manifest.attack.name}: {defense.name}, seed {attack.seed}: stored result")
        cells.append(cell)
    undefended = AttackSummary.of(attack, reused, stale)
    return AttackOutcome(undefended, attack.path, reused, tuple(cells), frozenset(stored))


def _run_defense(
    attack: AttackResult, defense: Defense, prepared: PreparedRun, observers: Observers
) -> Cell:
    """Compute the cell of a defense and tell the observers about it."""
    observers.tell(
        "cell_started", attack=attack.manifest.attack.name, defense=defense.name, seed=attack.seed
    )
    cell = defend(attack, defense, prepared)
    observers.tell("cell_finished", cell=cell.to_json())
    return cell


def _require_as_named(attack: AttackResult, options: RunOptions) -> None:
    """Raise `ConfigError` when a stored result was not made with the data set or the model that the
    options name.
    """
    for kind, given in (("dataset", options.dataset), ("model", options.model)):
        made: PluginRecord = getattr(attack.manifest, kind)
        if given is not None and _own_name(kind, given) not in (made.name, made.label):
            raise ConfigError(
                f"{options.result_file} was made with the {kind} {made.label!r}, not {given!r}; "
                f"leave out --{kind}"
            )


def _own_name(kind: str, given: str) -> str:
    """Return the plugin's own name, with the variant of a provider that was asked for."""
    name, variant = load(kind, given).name, "" if is_file(given) else given.partition(":")[2]
    return f"{name}:{variant}" if variant else name


@contextmanager
def observe(observers: Observers) -> Iterator[None]:
    """Pass progress and the names of written files on to the observers."""
    with ExitStack() as stack:
        stack.enter_context(
            report_progress(
                lambda what, done, total: observers.tell(
                    "stage_progress", what=what, done=done, total=total
                )
            )
        )
        stack.enter_context(announcing(lambda path: observers.tell("file_written", path=str(path))))
        yield
