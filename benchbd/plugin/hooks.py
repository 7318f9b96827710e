"""Observers: plugins that watch a run. They are called one at a time; one that raises is switched off and reported."""

from __future__ import annotations

import traceback
from typing import Any

import pluggy

hookspec = pluggy.HookspecMarker("benchbd")
hookimpl = pluggy.HookimplMarker("benchbd")


class Hooks:
    """What an observer may implement; arguments it does not need may be left out."""

    @hookspec
    def cell_started(self, attack: str, defense: str, seed: int) -> None:
        """A cell is about to run."""

    @hookspec
    def stage_progress(self, what: str, done: int, total: int) -> None:
        """`done` of `total` steps of `what` are finished; called a few times a second."""

    @hookspec
    def cell_finished(self, cell: dict[str, Any]) -> None:
        """A cell has ended, well or not; `cell` is its JSON."""

    @hookspec
    def file_written(self, path: str) -> None:
        """A file has appeared at `path`."""


class Observers:
    """The observers of one run."""

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager("benchbd")
        self._manager.add_hookspecs(Hooks)
        self.switched_off: dict[str, str] = {}

    def add(self, observer: object) -> None:
        """Register an observer. pluggy refuses one whose arguments do not fit, naming both signatures."""
        self._manager.register(observer)
        self._manager.check_pending()

    def tell(self, hook: str, **facts: Any) -> None:
        """Call `hook` of every observer, one after the other."""
        for implementation in list(getattr(self._manager.hook, hook).get_hookimpls()):
            wanted = {name: facts[name] for name in implementation.argnames}
            try:
                implementation.function(**wanted)
            except Exception:  # an observer is somebody else's code and must not end the run
                self.switched_off[implementation.plugin_name] = traceback.format_exc()
                self._manager.unregister(implementation.plugin)
