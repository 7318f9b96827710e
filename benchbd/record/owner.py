"""The identity of a process, which tells it apart from every other one on any machine.

Host names and process numbers are not enough: several containers may have the same host name, each
counts its processes from 1, and the number of a process is used again after its end. So an identity
also has the start of the machine (Linux's boot id), the namespace in which processes are counted,
and the moment at which the process began, where the system tells them.
"""

from __future__ import annotations

import hashlib
import os
import socket
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, Self

DEAD_STATES = "ZX"
"""The states of a process that has ended but still has its number (proc(5), state)."""


@dataclass(frozen=True)
class Owner:
    """The identity of a process. boot, namespace, born: empty where the system tells nothing."""

    host: str
    boot: str
    namespace: str
    pid: int
    born: str

    @classmethod
    def me(cls) -> Self:
        """Return the identity of this process."""
        told = _told(os.getpid())
        born = told.born if told else ""
        return cls(socket.gethostname(), _boot(), _namespace(), os.getpid(), born)

    @classmethod
    def read(cls, content: Any) -> Self | None:
        """Return the identity in a table from JSON; None where the table holds none."""
        names = [field.name for field in fields(cls)]
        if not isinstance(content, dict) or not content.keys() >= set(names):
            return None
        host, boot, namespace, pid, born = (str(content[name]) for name in names)
        return cls(host, boot, namespace, int(pid), born) if pid.isdecimal() else None

    def to_json(self) -> dict[str, str | int]:
        return asdict(self)

    @property
    def place(self) -> str:
        """Eight digits that stand for the place in which the process has its number: host, start
        and namespace.
        """
        where = "\n".join((self.host, self.boot, self.namespace))
        return hashlib.sha256(where.encode()).hexdigest()[:8]

    def lives(self) -> bool | None:
        """Return whether the process is alive; None if it runs where this process cannot see it."""
        return is_alive(self.pid, self.born) if self.place == Owner.me().place else None

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def is_alive(pid: int, born: str) -> bool:
    """Return whether a process with this number is alive and began at this moment. The number may
    have been given to another process since. A dead process keeps its number until its parent asks
    how it ended, and in many containers the first process never asks.
    """
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    told = _told(pid)
    return told is None or (told.born == born and told.state not in DEAD_STATES)


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


class _Told(NamedTuple):
    """The state of a process, one letter, and when it began, in kernel ticks."""

    state: str
    born: str


def _told(pid: int) -> _Told | None:
    """Return what the system says of a process; None where it says nothing (proc(5), `stat`)."""
    try:
        state, *numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return _Told(state, numbers[18])
    except (OSError, ValueError, IndexError):
        return None
