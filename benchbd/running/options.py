"""The declaration of the options of `benchbd run`, which the command line, files of options and
`benchbd.run` share.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from benchbd.arguments import Notation, Options, PluginName, PluginNames, SeedNumbers, Settings
from benchbd.errors import ConfigError
from benchbd.plugin.declared import param

PROTOCOL = "digits-quick"
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
    protocol: str | Path = param(PROTOCOL, "where everything comes from that is not given")
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
