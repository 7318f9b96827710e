"""The declarations of the options of `benchbd run` and `benchbd analyze`, which the command line,
files of options and the functions of Python share.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

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
from benchbd.plugin.declared import param

DEFAULT_PROTOCOL = "digits-quick"
"""The protocol that a run uses if none is named."""


class RunOptions(Options):
    """The options of one run. An option that is not given is taken from the protocol."""

    command: ClassVar[str] = "run"

    attack: PluginNames | None = param(None, "attack to run; `benchbd list attacks` shows all")
    defense: PluginNames = param(("none",), "defense to run")
    model: PluginName | None = param(None, "architecture of the victim; default: the protocol's")
    dataset: PluginName | None = param(None, "data set; default: the protocol's")
    seed: SeedNumbers | None = param(
        None,
        "seed of every random draw; default: 0, or that of the stored attack result",
    )
    device: str = param(
        "auto", "device to compute on: cpu, cuda, cuda:1, ...; auto takes a GPU if there is one"
    )
    threads: int | None = param(
        None,
        "cores to compute with; default: the protocol's where its own data set and model are run, "
        "else all that there are",
        ge=1,
        strict=True,
    )
    settings: Annotated[Settings, Notation("KIND.PARAM=VALUE")] = param(
        {},
        "set a parameter, such as defense.anp_eps=0.2; `benchbd info NAME` and `benchbd info "
        "recipe` show them",
        alias="set",
    )
    protocol: str | Path = param(DEFAULT_PROTOCOL, "where everything comes from that is not given")
    name: str | None = param(
        None, "folder of the result under record/; default: made from what is run"
    )
    result_file: str | Path | None = param(
        None, "defend this stored attack result instead: a path, or a name under record/"
    )
    rerun: Literal["attack", "defense"] | None = param(
        None,
        "compute anew what is stored: the results of the defenses, or the attack results and with "
        "them those of their defenses",
    )

    def require_start(self) -> None:
        """Raise `ConfigError` unless there is something to start from."""
        if self.result_file is None and not self.attack:
            raise ConfigError(
                "name an attack (--attack badnet), or a stored attack result (--result-file NAME)"
            )


class AnalyzeOptions(Options):
    """The options of the analysis of one attack result."""

    command: ClassVar[str] = "analyze"

    result: Annotated[str, Notation("NAME")] = param(
        ...,
        "the attack result: a name under record/, a path, or the first digits of its key or of "
        "that of one of its defenses",
    )
    defense: PluginNames = param((), "defense to show beside the backdoored model; run if need be")
    analyses: Words | None = param(
        None,
        "analyses, separated by commas; default: all that need forward passes at most",
        alias="with",
    )
    device: str = param(
        "auto", "device to compute on: cpu, cuda, cuda:1, ...; auto takes a GPU if there is one"
    )
    threads: int | None = param(
        None, "cores to compute with; default: all that there are", ge=1, strict=True
    )
    settings: Annotated[Settings, Notation("KIND.PARAM=VALUE")] = param(
        {},
        "set a parameter, such as analysis.images=8 or defense.anp_eps=0.2",
        alias="set",
    )
    protocol: str | Path = param(
        DEFAULT_PROTOCOL,
        "where parameters of defenses and the clean budget come from, if they are run",
    )
    rerun: bool = param(False, "look again, also where findings are stored")
