"""The declarations of the options of `benchbd plan`, `benchbd matrix` and `benchbd sensitivity`.

The command line and the functions of `benchbd` both read them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from benchbd.arguments import (
    Notation,
    Options,
    PluginName,
    PluginNames,
    SeedNumbers,
    Settings,
    Words,
)
from benchbd.errors import ConfigError
from benchbd.matrices.rerun import RERUN
from benchbd.plugin.declared import param
from benchbd.record.cells import RESULTS_FOLDER
from benchbd.running.options import DEFAULT_PROTOCOL

EXECUTOR = "executor."
"""First part of the names of an executor's parameters."""


class PlanOptions(Options):
    """Which part of a protocol is meant, and where its results lie."""

    command: ClassVar[str] = "plan"

    protocol: str | Path = param(..., "name of a protocol, or its YAML file")
    attacks: PluginNames = param((), "only this attack, the protocol's or another", alias="attack")
    defenses: PluginNames = param(
        (), "only this defense, the protocol's or another", alias="defense"
    )
    seeds: SeedNumbers = param((), "only this seed", alias="seed")
    rerun: Words = param(
        (), f"also do again what ended so, separated by commas: {', '.join(RERUN)}"
    )
    results: Path = param(RESULTS_FOLDER, "folder of the results")
    device: str = param(
        "auto", "device to compute on: cpu, cuda, ...; auto takes a GPU if there is one"
    )


class MatrixOptions(PlanOptions):
    """Where missing stages run, and within which limits."""

    command: ClassVar[str] = "matrix"

    executor: str = param("local", "where stages run; `benchbd list executors` shows all")
    workers: int | None = param(
        None, "stages at a time; default: as many as the machine carries", ge=1, strict=True
    )
    settings: Annotated[Settings, Notation("executor.PARAM=VALUE")] = param(
        {}, "set a parameter of the executor", alias="set"
    )
    time_limit: float | None = param(
        None, "seconds that a stage may take; default: the protocol's, else none", gt=0, strict=True
    )
    memory_limit: float | None = param(
        None, "GiB that a stage may use; default: none", gt=0, strict=True
    )
    reuse_worker: bool = param(False, "let a worker process run many stages: faster for tiny cells")
    fail_fast: bool = param(False, "start nothing more once a cell has failed")
    analyze: Words = param(
        (),
        "afterwards, analyses of every attacked model and of its defended ones, separated by "
        "commas; `benchbd list analyses` shows all",
    )

    def executor_settings(self) -> dict[str, str]:
        """Return all settings of the executor, by executor.PARAM, as text. Raises `ConfigError`."""
        for name in self.settings:
            if not name.startswith(EXECUTOR):
                raise ConfigError(
                    f"--set: expected executor.PARAM=VALUE, got {name!r}; parameters of plugins "
                    "stand in the protocol"
                )
        short = {"workers": self.workers, "reuse": "true" if self.reuse_worker else None}
        named = {f"{EXECUTOR}{name}": value for name, value in short.items() if value is not None}
        if twice := self.settings.keys() & named.keys():
            raise ConfigError(f"{twice.pop()} is given twice, once by an option of its own")
        return {name: str(value) for name, value in (self.settings | named).items()}


class SensitivityOptions(Options):
    """The study of one defense: what it meets, and where the study runs and is stored."""

    command: ClassVar[str] = "sensitivity"

    defense: Annotated[PluginName, Notation("defense.NAME")] = param(..., "defense to study")
    attacks: PluginNames = param(
        (), "attack that it meets; default: the protocol's first that poisons", alias="attack"
    )
    protocol: str | Path = param(DEFAULT_PROTOCOL, "where data, model, recipe and budget come from")
    seeds: SeedNumbers = param((0,), "seed to study it at", alias="seed")
    executor: str = param("local", "where stages run")
    results: Path = param(Path("sensitivity"), "folder of the results")
    note: Path | None = param(
        None, "file of notes beside a board's results, from which the board shows the scores"
    )


class SweepOptions(Options):
    """What a sweep is of, along which axis, and where it runs and is stored."""

    command: ClassVar[str] = "sweep"

    protocol: str | Path = param(..., "name of a protocol, or its YAML file")
    over: Annotated[str, Notation("AXIS=VALUES")] = param(
        "", "the axis and its values, such as poison_ratio=0.01,0.1 or attack.target=0..9"
    )
    attacks: PluginNames = param((), "attack to run", alias="attack")
    defenses: PluginNames = param(("none",), "defense to run", alias="defense")
    seeds: SeedNumbers = param((), "only this seed", alias="seed")
    device: str = param(
        "auto", "device to compute on: cpu, cuda, ...; auto takes a GPU if there is one"
    )
    executor: str = param("local", "where stages run")
    results: Path = param(Path("sweeps"), "folder of the results")
