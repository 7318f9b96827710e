"""One attack and its defenses, from names to measured cells: what `benchbd run` and `benchbd.run`
do.
"""

from __future__ import annotations

import html
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from benchbd.attack.attack import Attack
from benchbd.defense.case import Case
from benchbd.defense.defense import Defense
from benchbd.defense.describe import coordinates
from benchbd.engine.hardware import Hardware, hardware, use_threads
from benchbd.engine.process_state import kept_settings
from benchbd.engine.progress import reporting
from benchbd.engine.recipe import Recipe
from benchbd.errors import BenchbdError, ConfigError, NotApplicable, nearest
from benchbd.plugin.hooks import Observers
from benchbd.plugin.plugin import Plugin
from benchbd.plugin.registry import create, is_file, load
from benchbd.record.attack_files import record_dir
from benchbd.record.attack_result import AttackResult, load_attack_result
from benchbd.record.cell import Cell, Status
from benchbd.record.defense_result import CELL, DEFENSE_FILE, folder_of
from benchbd.record.files import announcing, write_json
from benchbd.record.keys import SCHEMA
from benchbd.record.plugin_record import PluginRecord
from benchbd.report.frame import frame
from benchbd.report.table import cells_table, failure, header, plain
from benchbd.running.attack_job import AttackJob
from benchbd.running.attacking import attack_result
from benchbd.running.options import RunOptions
from benchbd.running.protocol import Protocol, load_protocol
from benchbd.running.status import status_of
from benchbd.victim.dataset import DataSet
from benchbd.victim.model import Model

if TYPE_CHECKING:
    from pandas import DataFrame

Family = TypeVar("Family", bound=Plugin)


@dataclass(frozen=True, eq=False)
class Run:
    """What `benchbd.run` returns.

    attack: the attack result. reused: whether it was stored before. cells: the result of each
    defense, in the order in which they were named. Its text is the table that the command `benchbd
    run` prints.
    """

    attack: AttackResult
    reused: bool
    cells: tuple[Cell, ...]

    def frame(self) -> DataFrame:
        """The cells as a pandas table, one row each."""
        return frame(self.cells)

    def __repr__(self) -> str:
        """The table that `benchbd run` prints."""
        return plain(
            header(self.attack, self.reused),
            cells_table(self.attack, self.cells),
            *map(failure, self.cells),
        )

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"


@dataclass(frozen=True)
class Prepared:
    """A run with every plugin built and checked, before any work is done."""

    options: RunOptions
    protocol: Protocol
    job: AttackJob | None
    defenses: tuple[Defense, ...]
    folder: Path


def prepare(options: RunOptions) -> Prepared:
    """Build all plugins of a run. Raises `ConfigError` or `PluginError`, with nothing computed
    yet.
    """
    protocol, settings = load_protocol(options.protocol), options.settings
    _require_kinds(settings)
    defenses = tuple(_plugins(Defense, options.defense, protocol, settings))
    hardware(options.device)
    if options.result_file is not None:
        _require_defenses_alone(options)
        return Prepared(options, protocol, None, defenses, Path())
    if options.attack is None:
        raise ConfigError(
            "name an attack (--attack badnet), or a stored attack result (--result-file NAME)"
        )
    (attack,) = _plugins(Attack, [options.attack], protocol, settings)
    (model,) = _plugins(Model, [options.model or protocol.models[0].name], protocol, settings)
    (dataset,) = _plugins(
        DataSet, [options.dataset or protocol.datasets[0].name], protocol, settings
    )
    recipe = Recipe(**protocol.recipe.params | _values(Recipe, "recipe", settings))
    job = AttackJob(dataset, model, attack, recipe, options.seed or 0, options.device)
    folder = record_dir() / _folder_name(options.name or job.folder_name)
    return Prepared(options, protocol, job, defenses, folder)


def _require_defenses_alone(options: RunOptions) -> None:
    """Raise `ConfigError` where something is asked for that a stored attack result has already.

    Its data set and model may be named, since a plugin in a file is only loaded when a person names
    that file.
    """
    for kind, given in (("dataset", options.dataset), ("model", options.model)):
        if given is not None:
            _load(kind, given)
    made = {"attack": options.attack, "seed": options.seed}
    stray = [f"--{name}" for name, given in made.items() if given is not None]
    stray += [f"--set {name}" for name in options.settings if not name.startswith("defense.")]
    if stray:
        raise ConfigError(
            f"{options.result_file} is a stored result, which has all but its defenses already; "
            f"leave out {stray[0]}"
        )


def _require_as_named(attack: AttackResult, options: RunOptions) -> None:
    """Raise `ConfigError` when a stored result is not of the data set or the model that was named
    beside it.
    """
    for kind, given in (("dataset", options.dataset), ("model", options.model)):
        made: PluginRecord = getattr(attack.manifest, kind)
        if given is not None and _called(kind, given) not in (made.name, made.label):
            raise ConfigError(
                f"{options.result_file} was made with the {kind} {made.label!r}, not {given!r}; "
                f"leave out --{kind}"
            )


def _called(kind: str, given: str) -> str:
    """The plugin's own name for itself, with the variant of a provider that was asked for."""
    name, variant = _load(kind, given).name, "" if is_file(given) else given.partition(":")[2]
    return f"{name}:{variant}" if variant else name


def execute(prepared: Prepared, observers: Observers) -> Run:
    """Attack, unless the result is there, then every defense. A defense that fails becomes a cell
    that says so.
    """
    options = prepared.options
    with _observed(observers), use_threads(prepared.protocol.threads):
        if prepared.job is None:
            assert options.result_file is not None
            attack, reused = load_attack_result(options.result_file), True
            _require_as_named(attack, options)
        else:
            attack, reused = attack_result(prepared.job, prepared.folder)
        cells = tuple(
            _defend(attack, defense, prepared, observers) for defense in prepared.defenses
        )
    return Run(attack, reused, cells)


def _defend(
    attack: AttackResult, defense: Defense, prepared: Prepared, observers: Observers
) -> Cell:
    observers.tell(
        "cell_started",
        attack=attack.manifest.attack.name,
        defense=defense.name,
        seed=attack.seed,
    )
    options, protocol = prepared.options, prepared.protocol
    try:
        cell = defense.against(
            attack,
            device=options.device,
            clean_budget=protocol.clean_budget,
            evaluate_every=int(
                options.settings.get("recipe.evaluate_every", protocol.recipe.evaluate_every)
            ),
            protocol=protocol.id,
        ).cell
    except Exception as error:  # a cell that fails is a row with its reason, never a lost run
        cell = _failed(attack, defense, protocol, hardware(options.device), error)
        _note_failure(attack, cell)
    observers.tell("cell_finished", cell=cell.to_json())
    return cell


def _note_failure(attack: AttackResult, cell: Cell) -> None:
    """Leave the cell beside the attack result, unless there are numbers of the very same cell from
    before.
    """
    folder = folder_of(attack.folder, cell.cell.defense.name, cell.key)
    if not (folder / DEFENSE_FILE).is_file():
        write_json(folder / CELL, cell.to_json())


def _failed(
    attack: AttackResult, defense: Defense, protocol: Protocol, machine: Hardware, error: Exception
) -> Cell:
    """The cell of a defense that gave no result."""
    case = Case(attack, machine, defense.name, attack.clean_budget(protocol.clean_budget))
    about = coordinates(defense, case)
    expected = isinstance(error, NotApplicable | BenchbdError)  # explained by its message alone
    return Cell(
        schema=SCHEMA,
        key=about.key(protocol.id),
        protocol=protocol.id,
        status=Status(
            code=status_of(error),
            reason=str(error),
            stage="defense",
            error=type(error).__name__,
            traceback="" if expected else "".join(traceback.format_exception(error)[-8:]),
        ),
        cell=about,
        baseline=attack.metrics(),
    )


@contextmanager
def _observed(observers: Observers) -> Iterator[None]:
    """Progress and written files reach the observers."""
    with ExitStack() as stack:
        stack.enter_context(
            reporting(
                lambda what, done, total: observers.tell(
                    "stage_progress", what=what, done=done, total=total
                )
            )
        )
        stack.enter_context(announcing(lambda path: observers.tell("file_written", path=str(path))))
        yield


def _plugins(
    kind: type[Family], names: Sequence[str], protocol: Protocol, settings: dict[str, Any]
) -> list[Family]:
    """The named plugins, built from protocol and settings. A setting must fit at least one
    of them.
    """
    word = kind.kind
    prefix = f"{word}."
    wanted = {key.removeprefix(prefix) for key in settings if key.startswith(prefix)}
    classes = {name: _load(word, name) for name in dict.fromkeys(names)}
    for parameter in wanted:
        if classes and not any(parameter in cls.model_fields for cls in classes.values()):
            raise ConfigError(next(iter(classes.values())).unknown(parameter))
    return [
        create(
            kind,
            name,
            protocol.params_of(word, name) | _values(cls, word, settings, skip_unknown=True),
        )
        for name, cls in classes.items()
    ]


def _values(
    cls: type[Plugin], kind: str, settings: dict[str, Any], skip_unknown: bool = False
) -> dict[str, Any]:
    """The settings of one plugin; texts are read by the declared type."""
    values = {}
    for key, value in settings.items():
        owner, _, name = key.partition(".")
        if owner == kind and (name in cls.model_fields or not skip_unknown):
            values[name] = cls.parse(name, value) if isinstance(value, str) else value
    return values


@kept_settings()
def _load(kind: str, name: str) -> type[Plugin]:
    """The class of a plugin, with nothing set otherwise by its import."""
    return load(kind, name)


def _require_kinds(settings: dict[str, Any]) -> None:
    kinds = ("attack", "defense", "model", "dataset", "recipe")
    for key in settings:
        kind, _, name = key.partition(".")
        if kind in kinds and name:
            continue
        hint = (
            f"; which parameter of the {kind}? A plugin is chosen by its own option"
            if kind in kinds
            else nearest(kind, kinds)
        )
        raise ConfigError(
            f"expected KIND.PARAM with a kind of {', '.join(kinds)}, got {key!r}{hint}"
        )


def _folder_name(name: str) -> str:
    """A name that stays inside the record folder."""
    clean = name.replace("/", "_").replace(":", "_")
    if clean in ("", ".", "..") or "\x00" in clean:
        raise ConfigError(f"cannot name a result {name!r}; use letters, digits, dots and dashes")
    return clean
