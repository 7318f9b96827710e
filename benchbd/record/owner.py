"""The identity of a process, which tells it apart from every other one on any machine.

Host names and process numbers do not suffice: containers may share the name of their host, each
counts its processes from 1, and a number is used again once its process has ended. So the start of
the machine (Linux's boot id), the namespace in which processes are counted and the moment in which
the process began count as well, where the system tells them.
"""

from __future__ import annotations

import hashlib
import os
import socket
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class Owner:
    """A process. boot, namespace, born: empty where the system does not tell."""

    host: str
    boot: str
    namespace: str
    pid: int
    born: str

    @classmethod
    def me(cls) -> Self:
        """Return the identity of this process."""
        return cls(socket.gethostname(), _boot(), _namespace(), os.getpid(), _born(os.getpid()))

    @classmethod
    def read(cls, content: Any) -> Self | None:
        """Return the process that a table from JSON names; None where it names none."""
        names = [field.name for field in fields(cls)]
        if not isinstance(content, dict) or not content.keys() >= set(names):
            return None
        host, boot, namespace, pid, born = (str(content[name]) for name in names)
        return cls(host, boot, namespace, int(pid), born) if pid.isdecimal() else None

    def to_json(self) -> dict[str, str | int]:
        return asdict(self)

    @property
    def place(self) -> str:
        """Eight digits that stand for where the process is counted: host, start and namespace."""
        where = "\n".join((self.host, self.boot, self.namespace))
        return hashlib.sha256(where.encode()).hexdigest()[:8]

    def lives(self) -> bool | None:
        """Return whether the process is alive; None where that cannot be seen from here."""
        return is_alive(self.pid, self.born) if self.place == Owner.me().place else None

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def is_alive(pid: int, born: str) -> bool:
    """Return whether the process of that number lives and began then: its number may have been
    given to another since.
    """
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return _born(pid) in (born, "")


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


def _born(pid: int) -> str:
    """Return when the process began, in kernel ticks; empty where the system does not say."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
