"""Observers: plugins that watch a run. They are called one after the other; one that raises is
switched off and reported.

An entry point of the group `benchbd.hooks` leads to a callable without arguments, such as a class.
It returns an object with methods marked `@hookimpl`, or None when there is nothing for it to watch.
"""

from __future__ import annotations

import traceback
from importlib.metadata import EntryPoint
from typing import Any

import pluggy

from benchbd.errors import ContractBroken, PluginError
from benchbd.plugin.entry import PluginEntry
from benchbd.plugin.points import DeclaredPoint, ImportTimeout, import_seconds, limit_time, points
from benchbd.plugin.registry import BrokenPlugin

hookspec = pluggy.HookspecMarker("benchbd")
hookimpl = pluggy.HookimplMarker("benchbd")
"""Marks a method of an observer that is to be called. The name of the method says when; of the
arguments it takes those that it needs. docs/write_an_observer.md lists both.

>>> class Counter:
...     def __init__(self):
...         self.ended = 0
...
...     @hookimpl
...     def cell_finished(self, cell):
...         self.ended += 1
"""


HOOKS_GROUP = "benchbd.hooks"


class Hooks:
    """The methods that an observer may implement. It may leave out arguments that it does
    not need.
    """

    @hookspec
    def cell_started(self, attack: str, defense: str, seed: int) -> None:
        """Called before a cell runs."""

    @hookspec
    def stage_progress(self, what: str, done: int, total: int) -> None:
        """Called a few times a second with how many of the `total` steps of `what` are done."""

    @hookspec
    def cell_finished(self, cell: dict[str, Any]) -> None:
        """Called after a cell has ended, whether or not it succeeded; `cell` is its JSON."""

    @hookspec
    def file_written(self, path: str) -> None:
        """Called after a file has appeared at `path`."""


class Observers:
    """The observers of one run."""

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager("benchbd")
        self._manager.add_hookspecs(Hooks)
        self.switched_off: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._manager.get_plugins())

    @classmethod
    def from_packages(cls) -> Observers:
        """Return the observers that packages register. One that cannot be made is switched off from
        the start.
        """
        observers = cls()
        for point in points().get(HOOKS_GROUP, ()):
            try:
                observers.add(_made(point), f"{point.provider}/{point.name}")
            except PluginError as error:
                observers.switched_off[f"{point.provider}/{point.name}"] = _trace(error)
        return observers

    def add(self, observer: object | None, name: str | None = None) -> None:
        """Register an observer. Raises `ContractBroken`, with both signatures, if its arguments do
        not fit.
        """
        if observer is None:
            return
        try:
            self._manager.register(observer, name)
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            if self._manager.is_registered(observer):
                self._manager.unregister(observer)
            raise ContractBroken(
                f"observer {name or observer!r}: {error}; see benchbd.plugin.hooks.Hooks"
            ) from error

    def tell(self, hook: str, **facts: Any) -> None:
        """Call `hook` of every observer, one after the other. An observer that raises is switched
        off.
        """
        for implementation in list(getattr(self._manager.hook, hook).get_hookimpls()):
            wanted = {name: facts[name] for name in implementation.argnames}
            try:
                implementation.function(**wanted)
            except Exception:  # an observer is somebody else's code and must not end the run
                self.switched_off[implementation.plugin_name] = traceback.format_exc()
                self._manager.unregister(implementation.plugin)

    def complaints(self) -> list[str]:
        """Return a paragraph for each observer that was switched off."""
        return [
            f"the observer {name} raised and was switched off:\n{trace}"
            for name, trace in self.switched_off.items()
        ]


def observer_entries() -> list[PluginEntry]:
    """Return the entries of all observers that packages register."""
    return [
        PluginEntry("hooks", point.name, point.provider, point.version, point.value)
        for point in points().get(HOOKS_GROUP, ())
    ]


def observer_fault(entry: PluginEntry) -> BrokenPlugin | None:
    """Make an observer and return why it cannot be used, or None when it can."""
    try:
        Observers().add(
            _made(
                DeclaredPoint(HOOKS_GROUP, entry.name, entry.target, entry.provider, entry.version)
            ),
            entry.name,
        )
    except PluginError as error:
        reason = "contract" if isinstance(error, ContractBroken) else "import-error"
        return BrokenPlugin(entry, reason, str(error), _trace(error))
    return None


def _made(point: DeclaredPoint) -> object | None:
    try:
        with limit_time(import_seconds()):
            made: object | None = EntryPoint(point.name, point.value, point.group).load()()
    except (Exception, SystemExit, ImportTimeout) as error:
        raise PluginError(
            f"observer {point.name!r} of {point.provider}: {type(error).__name__}: {error}"
        ) from error
    return made


def _trace(error: PluginError) -> str:
    return "".join(traceback.format_exception(error.__cause__ or error))
