"""Claims: a piece of work belongs to one process at a time, wherever it runs.

A claim is a file that names its owner; the owner touches it every few seconds. It is taken over
when its owner is dead: where its process can be seen, as soon as there is no such process, and else
after a minute of silence. The file system needs only one property: of several processes that create
the same file, one succeeds. Many file systems have no hard links and no locks.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from benchbd.errors import BenchbdError, Unwritable
from benchbd.record.owner import Owner

HEARTBEAT_SECONDS = 5.0
SILENCE_SECONDS = 60.0
CLAIM_POLL_SECONDS = 0.05
"""Seconds between two looks at a claim for which a process waits."""


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
    """Hold the claim `path` inside. Raises `Busy` when a living process holds it, `Unwritable` when
    it cannot be written.
    """
    content = json.dumps({**Owner.me().to_json(), "token": secrets.token_hex(8)})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while not _create(path, content):
            if not is_abandoned(path):
                raise Busy(path, owner_of(path))
            take_away(path)
    except OSError as error:
        raise Unwritable(f"cannot write to {path.parent}: {error.strerror or error}") from None
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(path, content, stop), daemon=True)
    beat.start()
    try:
        yield
    finally:
        stop.set()
        beat.join()
        if _text(path) == content:
            path.unlink(missing_ok=True)


@contextmanager
def claim_in_turn(path: Path) -> Iterator[None]:
    """Hold the claim `path` inside, once nobody else does. Raises `Unwritable`."""
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(claim(path))
                break
            except Busy:
                time.sleep(CLAIM_POLL_SECONDS)
        yield


def claim_path(folder: Path) -> Path:
    """Return the claim on the work whose folder it is."""
    return folder / ".claim"


def is_abandoned(path: Path) -> bool:
    """Return whether the owner of the claim is dead. A claim that has vanished counts as
    abandoned.
    """
    owner = _read(path)
    lives = owner.lives() if owner is not None else None
    if lives is not None:
        return not lives
    age = _age(path)
    return age is None or age > SILENCE_SECONDS


def is_held(path: Path) -> bool:
    """Return whether a living process holds the claim."""
    return path.exists() and not is_abandoned(path)


def owner_of(path: Path) -> str:
    """Return the owner of the claim at `path`, in words."""
    return str(_read(path) or "an unknown process")


def take_away(path: Path) -> None:
    """Remove an abandoned claim. One process at a time looks again and removes, so nobody's fresh
    claim is lost.
    """
    with _one_at_a_time(path.with_name(f".{path.name}.takeover")):
        if is_abandoned(path):
            path.unlink(missing_ok=True)


def _create(path: Path, content: str) -> bool:
    """Return whether the claim could be written: only one process creates a file. Until it has its
    content, a moment later, its owner is unknown and not silent, so that nobody takes it over.
    """
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except FileExistsError:
        return False
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return True


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Let one process at a time do a moment's work: the one that creates the file is alone until it
    removes the file.
    """
    while True:
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            break
        except FileExistsError:
            # the process that created it has died in the meantime
            if (_age(path) or 0) > SILENCE_SECONDS:
                path.unlink(missing_ok=True)
            time.sleep(CLAIM_POLL_SECONDS)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _beat(path: Path, content: str, stop: threading.Event) -> None:
    """Touch the claim as long as no other process has replaced it."""
    while not stop.wait(HEARTBEAT_SECONDS):
        # an empty text means that it could not be read at this moment
        if _text(path) in (content, ""):
            with suppress(OSError):
                os.utime(path)


def _age(path: Path) -> float | None:
    """Return the seconds since a file was last written or touched, or None where there is no such
    file.
    """
    try:
        return _clock(path.parent) - path.stat().st_mtime
    except FileNotFoundError:
        return None


def _clock(folder: Path) -> float:
    """Return the time by the clock that stamps the files of `folder`, which may be another
    machine's.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        return os.fstat(file.fileno()).st_mtime


def _read(path: Path) -> Owner | None:
    try:
        return Owner.read(json.loads(_text(path)))
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
