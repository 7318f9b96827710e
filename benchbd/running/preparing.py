"""The step from the options of a run to its plugins, which are built and checked before any work is
done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

from benchbd.attack.attack import Attack
from benchbd.data.class_number import class_number
from benchbd.data.images import ImageSet
from benchbd.defense.defense import CleanDataDefense, Defense
from benchbd.engine.cores import usable_cores
from benchbd.engine.hardware import hardware
from benchbd.engine.process_state import preserve_settings
from benchbd.engine.recipe import Recipe
from benchbd.errors import ConfigError, nearest
from benchbd.plugin.plugin import Plugin
from benchbd.plugin.registry import create, load
from benchbd.record.attack_files import record_dir
from benchbd.record.ingredients import Ingredients
from benchbd.running.attack_job import AttackJob
from benchbd.running.options import RunOptions
from benchbd.running.protocol import Protocol, load_protocol
from benchbd.victim.dataset import DataSet
from benchbd.victim.model import Model

TARGET_SETTING = "attack.target"
"""The setting that names a class, by its number or its name."""

Family = TypeVar("Family", bound=Plugin)


@dataclass(frozen=True)
class PreparedRun:
    """A run whose plugins are all built and checked.

    jobs: the attack jobs that the run starts from, each with the folder of its result; there are
    none if the run starts from a stored attack result.
    """

    options: RunOptions
    protocol: Protocol
    jobs: tuple[tuple[AttackJob, Path], ...]
    defenses: tuple[Defense, ...]

    def threads(self, ingredients: Ingredients) -> int:
        """Return the number of cores to compute with: the number that was given, else that of the
        protocol for its own data set and model (it was chosen for these), else all usable cores.
        """
        own = all(
            getattr(ingredients, kind).label
            in {each.called for each in self.protocol.choices[kind]}
            for kind in ("dataset", "model")
        )
        of_protocol = self.protocol.threads if own else None
        return self.options.threads or of_protocol or usable_cores()

    def require_usable(self, train: ImageSet) -> None:
        """Raise `ConfigError` or `DataError` for training images of which a defense could not draw
        its clean data.
        """
        for defense in self.defenses:
            if isinstance(defense, CleanDataDefense):
                defense.require_clean_data(train, self.protocol.clean_budget)


def prepare(options: RunOptions) -> PreparedRun:
    """Build all plugins of a run, without computing anything. Raises `ConfigError` or
    `PluginError`.
    """
    options.require_start()
    protocol, settings = load_protocol(options.protocol), options.settings
    require_kinds(settings, ("attack", "defense", "model", "dataset", "recipe"))
    defenses = tuple(_plugins(Defense, options.defense, protocol, settings))
    hardware(options.device)
    if options.result_file is not None:
        _require_defenses_alone(options)
        return PreparedRun(options, protocol, (), defenses)
    return PreparedRun(options, protocol, _jobs(options, protocol), defenses)


def _jobs(options: RunOptions, protocol: Protocol) -> tuple[tuple[AttackJob, Path], ...]:
    """Return the job of every attack at every seed, each with the folder of its result."""
    settings = options.settings
    (model,) = _plugins(Model, [options.model or protocol.models[0].name], protocol, settings)
    (dataset,) = _plugins(
        DataSet, [options.dataset or protocol.datasets[0].name], protocol, settings
    )
    settings = _with_target_number(settings, dataset)
    attacks = _plugins(Attack, options.attack or (), protocol, settings)
    recipe = Recipe(**protocol.recipe.params | plugin_values(Recipe, "recipe", settings))
    jobs = [
        AttackJob(dataset, model, attack, recipe, seed, options.device)
        for attack, seed in product(attacks, dict.fromkeys(options.seed or (0,)))
    ]
    if options.name is not None and len(jobs) > 1:
        raise ConfigError(
            f"--name: expected one attack and one seed for the folder {options.name!r}, got "
            f"{len(jobs)} attack results; leave it out, and each has a name of its own"
        )
    return tuple(
        (job, record_dir() / _folder_name(options.name or job.folder_name)) for job in jobs
    )


def _with_target_number(settings: dict[str, Any], dataset: DataSet) -> dict[str, Any]:
    """Return the settings with the number of the class that the attack is to aim at, where a person
    gave its name.
    """
    target = settings.get(TARGET_SETTING)
    if not isinstance(target, str) or target.strip().lstrip("-").isdecimal():
        return settings
    names = dataset.load("train").class_names
    try:
        return settings | {TARGET_SETTING: class_number(target.strip(), names)}
    except ConfigError as error:
        raise ConfigError(f"{TARGET_SETTING}: {error}") from None


def _require_defenses_alone(options: RunOptions) -> None:
    """Raise `ConfigError` if an option asks for something that the stored attack result fixes
    already. The data set and the model may be named all the same, because a plugin in a file is
    loaded only when a person names that file.
    """
    for kind, given in (("dataset", options.dataset), ("model", options.model)):
        if given is not None:
            _load(kind, given)
    made = {"attack": options.attack, "seed": options.seed, "name": options.name}
    stray = [f"--{name}" for name, given in made.items() if given is not None]
    stray += ["--rerun attack"] if options.rerun == "attack" else []
    stray += [f"--set {name}" for name in options.settings if not name.startswith("defense.")]
    if stray:
        raise ConfigError(
            f"{options.result_file} is a stored result, which has all but its defenses already; "
            f"leave out {stray[0]}"
        )


def _plugins(
    kind: type[Family], names: Sequence[str], protocol: Protocol, settings: dict[str, Any]
) -> list[Family]:
    """Return the named plugins, built from the protocol and the settings. Raises `ConfigError` for
    a setting that fits none of them.
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
            protocol.params_of(word, name) | plugin_values(cls, word, settings, skip_unknown=True),
        )
        for name, cls in classes.items()
    ]


def plugin_values(
    cls: type[Plugin], kind: str, settings: dict[str, Any], skip_unknown: bool = False
) -> dict[str, Any]:
    """Return the settings of one plugin. A text is read by the declared type of its parameter."""
    values = {}
    for key, value in settings.items():
        owner, _, name = key.partition(".")
        if owner == kind and (name in cls.model_fields or not skip_unknown):
            values[name] = cls.parse(name, value) if isinstance(value, str) else value
    return values


@preserve_settings()
def _load(kind: str, name: str) -> type[Plugin]:
    """Return the class of a plugin, and undo what its import changes in the process."""
    return load(kind, name)


def require_kinds(settings: dict[str, Any], kinds: Sequence[str]) -> None:
    """Raise `ConfigError` for a setting that is not a parameter of one of these kinds."""
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
    """Return `name` without the characters that could lead out of the record folder. Raises
    `ConfigError` for a name that cannot be used.
    """
    clean = name.replace("/", "_").replace(":", "_")
    if clean in ("", ".", "..") or "\x00" in clean:
        raise ConfigError(f"cannot name a result {name!r}; use letters, digits, dots and dashes")
    return clean
