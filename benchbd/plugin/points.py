"""The entry points of benchbd, read from the metadata of all installed packages.

`importlib.metadata.entry_points` is not used, because it stops at the first package whose file of
entry points cannot be read.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, distributions

from benchbd.plugin.entry import BUNDLED_PROVIDER

GROUP_PREFIX = "benchbd."


class ImportTimeout(BaseException):
    """Raised when an import takes too long. It is no `Exception`, so that no `except Exception` in
    the imported code can catch it.
    """


@dataclass(frozen=True)
class DeclaredPoint:
    """An entry point, and the distribution that declares it."""

    group: str
    name: str
    value: str
    provider: str
    version: str

    @property
    def names(self) -> set[str]:
        """All names by which the entry point may be switched off."""
        return {
            self.name,
            f"{self.group.removeprefix(GROUP_PREFIX)}.{self.name}",
            self.provider,
            f"{self.provider}/{self.name}",
        }


@cache
def points() -> dict[str, tuple[DeclaredPoint, ...]]:
    """Return all entry points in groups of benchbd, by group, without those that are switched off.

    `BENCHBD_DISABLE_PLUGINS=1` keeps only the bundled ones. `BENCHBD_NO_PLUGIN` lists ones to leave
    out, separated by commas: by name, by kind.name, or by distribution.
    """
    unwanted = set(filter(None, os.environ.get("BENCHBD_NO_PLUGIN", "").split(",")))
    bundled_only = os.environ.get("BENCHBD_DISABLE_PLUGINS") == "1"
    found = defaultdict(list)
    for point in _all():
        if not (point.names & unwanted or (bundled_only and point.provider != BUNDLED_PROVIDER)):
            found[point.group].append(point)
    return {group: tuple(listed) for group, listed in found.items()}


def known_names() -> list[str]:
    """Return all names by which something can be switched off, also of what is switched off."""
    return sorted(set().union(*(point.names for point in _all())))


@contextmanager
def limit_time(seconds: float) -> Iterator[None]:
    """Raise `ImportTimeout` inside the block after so many seconds. It has no effect on systems
    without SIGALRM, and outside of the main thread.
    """
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: object) -> None:
        raise ImportTimeout(f"it did not end within {seconds:g} s")

    before, (left, _) = (
        signal.signal(signal.SIGALRM, ring),
        signal.setitimer(signal.ITIMER_REAL, seconds),
    )
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)
        signal.signal(signal.SIGALRM, before)


def import_seconds() -> float:
    """Return the number of seconds that the import of a plugin may take."""
    with suppress(ValueError):
        return (
            float(os.environ["BENCHBD_IMPORT_SECONDS"])
            if "BENCHBD_IMPORT_SECONDS" in os.environ
            else 60.0
        )
    return 60.0


def _all() -> Iterator[DeclaredPoint]:
    """Yield all entry points. A distribution that is found twice counts once, as for an import: the
    first on the path.
    """
    seen: set[str] = set()
    for distribution in distributions():
        listed = _declared(distribution)
        if listed and listed[0].provider not in seen:
            seen.add(listed[0].provider)
            yield from listed


def _declared(distribution: Distribution) -> list[DeclaredPoint]:
    """Return the entry points of a distribution in groups of benchbd; none when its metadata cannot
    be read.
    """
    try:
        if GROUP_PREFIX not in (distribution.read_text("entry_points.txt") or ""):
            return []
        about = distribution.metadata
        name, version = str(about["Name"]), str(about["Version"])
        return [
            DeclaredPoint(p.group, p.name, p.value, name, version)
            for p in distribution.entry_points
            if p.group.startswith(GROUP_PREFIX)
        ]
    except Exception:  # somebody else's broken metadata must not end a listing
        return []
