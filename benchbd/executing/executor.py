"""The contract of executors: they start a stage from the path of its spec, say whether it has ended
and how, and stop it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from benchbd.executing.stage import Ended
from benchbd.plugin.declared import param
from benchbd.plugin.plugin import Plugin
from benchbd.plugin.registry import load


@dataclass(frozen=True)
class Limits:
    """What a stage may use; None means no limit.

    seconds: of wall-clock time. memory: in bytes. threads: cores to compute with. device: that of
    the run, over whose GPUs an executor may spread its stages; None where a stage uses whatever its
    process sees.

    >>> Limits(seconds=600, memory=4 * 2**30, threads=2).device is None
    True
    """

    seconds: float | None = None
    memory: int | None = None
    threads: int | None = None
    device: str | None = None


class Executor(Plugin, ABC):
    """Runs the stages of a matrix somewhere. It writes `open`, which returns the `Session` of one
    matrix.

    >>> class Here(Executor):
    ...     api = 1
    ...
    ...     def open(self, limits):
    ...         return OneByOne()
    >>> class OneByOne(Session):
    ...     capacity = 1
    ...
    ...     def start(self, spec):
    ...         return run_stage(spec)
    ...
    ...     def ended(self, handle):
    ...         return handle
    ...
    ...     def close(self):
    ...         pass
    >>> Here().open(Limits()).capacity
    1
    """

    kind: ClassVar[str] = "executor"

    workers: int | None = param(
        None, "stages at a time; unset: as many as the machine carries", ge=1
    )

    @abstractmethod
    def open(self, limits: Limits) -> Session:
        """Return a session for one matrix. Raises `ConfigError` when something that it needs is
        missing.
        """


class Session(ABC):
    """The stages of one matrix on one executor. It writes `capacity`, `start`, `ended` and `close`.

    All stages that can be started are started before the first call of `ended`, so a session may
    gather stages and submit them together. A stage that was killed from outside is started again up
    to `retries` times.

    >>> class OneByOne(Session):
    ...     capacity = 1
    ...
    ...     def start(self, spec):
    ...         return run_stage(spec)
    ...
    ...     def ended(self, handle):
    ...         return handle
    ...
    ...     def close(self):
    ...         pass
    >>> session = OneByOne()
    >>> session.ended(session.start(Path("absent.spec.json"))).code
    'failed'
    """

    retries: int = 1
    """How often a stage that was killed from outside is started again."""

    @property
    @abstractmethod
    def capacity(self) -> int:
        """How many stages may run at a time. It is read again and again, and may change."""

    @abstractmethod
    def start(self, spec: Path) -> Any:
        """Start the stage whose spec is the file `spec`. Returns a handle, at once or when the
        stage is done. A handle may be anything; it is only passed back to `ended`.
        """

    @abstractmethod
    def ended(self, handle: Any) -> Ended | None:
        """Return how a stage ended, or None while it runs. A stage that died or was stopped is
        reported here too.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop the stages that still run and release everything. It is called whatever happened
        before, and may be called again.
        """


def executor_named(name: str, settings: dict[str, str]) -> Executor:
    """Return the named executor, not opened yet. Raises `PluginNotFound`, and `ConfigError` for a
    setting that it does not take.
    """
    texts = {key.removeprefix("executor."): text for key, text in settings.items()}
    return load(Executor, name).from_text(**texts)


@contextmanager
def open_executor(name: str, settings: dict[str, str], limits: Limits) -> Iterator[Session]:
    """Give a session of the named executor, which is closed after the block in any case. `settings`
    are texts by executor.PARAM.
    """
    session = executor_named(name, settings).open(limits)
    try:
        yield session
    finally:
        session.close()
