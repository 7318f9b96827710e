"""Claims: a piece of work belongs to one process at a time, wherever it runs.

A claim is a file that names its owner and host; the owner touches it every few seconds. It is taken
over when its owner is dead: on the same host when there is no such process, on another one after a
minute of silence.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from benchbd.errors import BenchbdError

HEARTBEAT = 5.0
SILENCE = 60.0


class Busy(BenchbdError):
    """Another process is at this work; `owner` says which.

    >>> Busy(Path("work/.claim"), "process 7 on a node").owner
    'process 7 on a node'
    """

    def __init__(self, path: Path, owner: str) -> None:
        super().__init__(
            f"{path.parent} is being worked on by {owner}; wait for it, or choose another place"
        )
        self.owner = owner


@contextmanager
def claim(path: Path) -> Iterator[None]:
    """Hold the claim `path` inside. Raises `Busy` when a living process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while not _create(path):
        if not is_abandoned(path):
            raise Busy(path, owner_of(path))
        _take_away(path)
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(path, stop), daemon=True)
    beat.start()
    try:
        yield
    finally:
        stop.set()
        beat.join()
        if _is_ours(path):
            path.unlink(missing_ok=True)


def claim_path(folder: Path) -> Path:
    """The claim on the work whose folder it is."""
    return folder / ".claim"


def is_abandoned(path: Path) -> bool:
    """Whether the claim's owner is dead; a claim that has vanished counts as abandoned."""
    owner = _read(path)
    if owner is not None and owner["host"] == socket.gethostname():
        return not _alive(int(str(owner["pid"])), str(owner["born"]))
    try:
        return _clock(path.parent) - path.stat().st_mtime > SILENCE
    except FileNotFoundError:
        return True


def is_held(path: Path) -> bool:
    """Whether a living process holds the claim."""
    return path.exists() and not is_abandoned(path)


def owner_of(path: Path) -> str:
    """Whose claim it is, in words: the process and the machine."""
    owner = _read(path)
    return f"process {owner['pid']} on {owner['host']}" if owner else "an unknown process"


def _create(path: Path) -> bool:
    """Write the claim beside its place and link it there, so that it never stands half-written."""
    me = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "born": _born(os.getpid()),
        "thread": threading.get_ident(),
    }
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    draft.write_text(json.dumps(me))
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def _take_away(path: Path) -> None:
    """Remove an abandoned claim. One process at a time looks again and removes, so nobody's fresh
    claim is lost.
    """
    with FileLock(path.with_name(f".{path.name}.takeover")):
        if is_abandoned(path):
            path.unlink(missing_ok=True)


def _beat(path: Path, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT):
        try:
            os.utime(path)
        except OSError:
            return


def _clock(folder: Path) -> float:
    """The time by the clock that stamps the files of `folder`, which may be another machine's."""
    with tempfile.TemporaryFile(dir=folder) as file:
        return os.fstat(file.fileno()).st_mtime


def _is_ours(path: Path) -> bool:
    owner = _read(path)
    return (
        owner is not None and owner["pid"] == os.getpid() and owner["host"] == socket.gethostname()
    )


def _read(path: Path) -> dict[str, object] | None:
    try:
        owner = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return owner if isinstance(owner, dict) and {"pid", "host", "born"} <= owner.keys() else None


def _alive(pid: int, born: str) -> bool:
    """Whether that very process lives: its number may have been given to another since."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _born(pid) in (born, "")


def _born(pid: int) -> str:
    """When the process began, in kernel ticks; empty where the system does not say."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
