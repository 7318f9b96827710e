"""The contract of executors: start a stage from the path of its spec, say how it
stands, stop it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from benchbd.executing.stage import Ended
from benchbd.plugin.plugin import Plugin, param
from benchbd.plugin.registry import load


@dataclass(frozen=True)
class Limits:
    """What a stage may use: seconds on the wall, bytes of memory, cores. None: no limit.

    device: that of the run, over whose GPUs an executor may spread its stages; None: a stage uses
    what its process is shown.
    """

    seconds: float | None = None
    memory: int | None = None
    threads: int | None = None
    device: str | None = None


class Executor(Plugin, ABC):
    """Runs stages somewhere. `open` gives the session of one matrix."""

    kind: ClassVar[str] = "executor"

    workers: int | None = param(
        None, "stages at a time; unset: as many as the machine carries", ge=1
    )

    @abstractmethod
    def open(self, limits: Limits) -> Session:
        """A session. Raises `ConfigError` when what it needs is not there."""


class Session(ABC):
    """The stages of one matrix on one executor. Handles mean nothing outside of it.

    All that can be started is started before the first question how a stage stands, so that a
    session may gather what it is given and submit it at once.
    """

    retries: int = 1
    """How often a stage is started again that was killed from outside."""

    @property
    @abstractmethod
    def capacity(self) -> int:
        """How many stages may run at a time."""

    @abstractmethod
    def start(self, spec: Path) -> Any:
        """Start the stage and return a handle at once, or when it is done."""

    @abstractmethod
    def ended(self, handle: Any) -> Ended | None:
        """How the stage ended; None while it runs. A stage that died or was stopped is reported
        here, too.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop what still runs and give everything back."""


def executor_named(name: str, settings: dict[str, str]) -> Executor:
    """The named executor, not opened yet. Raises `PluginNotFound`, and `ConfigError` for a setting
    that it does not take.
    """
    texts = {key.removeprefix("executor."): text for key, text in settings.items()}
    return load(Executor, name).from_text(**texts)


@contextmanager
def open_executor(name: str, settings: dict[str, str], limits: Limits) -> Iterator[Session]:
    """A session of the named executor, closed at the end whatever happens. `settings` are texts by
    executor.PARAM.
    """
    session = executor_named(name, settings).open(limits)
    try:
        yield session
    finally:
        session.close()
