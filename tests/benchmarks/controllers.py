"""`benchbd matrix` at work in a process of its own, which can be killed in whole or in part.

Importing torch takes most of the time of a small matrix. So controllers and their fork servers are
forked from a process that has imported it, unless each is to be started anew, as from a shell.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import benchbd  # noqa: F401 - first, so that threads wait passively

# isort: split
import psutil
from stores import abandoned, stamps, stored

from benchbd.executing import fork_server
from benchbd_zoo.executor.parts import fork_server as near_side

WORDS = {
    "inprocess": ("--executor", "inprocess"),
    "local": ("--executor", "local"),
    "reuse-worker": ("--executor", "local", "--reuse-worker"),
}

PATIENCE = 180.0
"""Seconds after which a controller that nobody disturbs any more counts as hanging."""

DEATH = 10.0
"""Seconds in which all must be gone that has lost its controller."""

LOOK = 0.01

FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(
    ["__main__", *fork_server.PRELOADED, "benchbd.cli.matrix", "benchbd.cli.matrix_view"]
)


class Forked:
    """A fork server as `subprocess.Popen` would start it, but forked from its controller, which has
    imported what the server imports. Nothing else of the controller stays open in it.
    """

    def __init__(self, words: list[str], pass_fds: list[int], env: dict[str, str], **_: Any):
        self.pid, self.code = os.fork(), None
        if self.pid == 0:
            try:
                os.setsid()
                os.closerange(3, pass_fds[0])
                os.closerange(pass_fds[0] + 1, os.sysconf("SC_OPEN_MAX"))
                os.environ.update(env)
                sys.argv = words[2:]
                Context().run(fork_server.main)
            finally:
                os._exit(0)

    def poll(self) -> int | None:
        if self.code is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if ended else None
        return self.code

    def wait(self, seconds: float | None = None) -> int:
        waited_for(lambda: self.poll() is not None, seconds or PATIENCE)
        if self.code is None:
            raise subprocess.TimeoutExpired("fork server", seconds or PATIENCE)
        return self.code

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


def lead(store: Path, words: tuple[str, ...], anew: bool) -> None:
    """`benchbd matrix` in a process group of its own, as in a terminal of its own."""
    os.setsid()
    os.chdir(store)
    log = os.open("controller.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["benchbd", "matrix", "kills.yaml", "--results", "results", *words]
    if anew:
        os.execv(sys.executable, [sys.executable, "-m", *sys.argv])
    near_side.subprocess = SimpleNamespace(**vars(subprocess) | {"Popen": Forked})  # type: ignore[assignment]
    from benchbd.cli.main import main

    main()


@dataclass
class Controller:
    """One `benchbd matrix` at work in the folder `store`."""

    store: Path
    way: str
    anew: bool
    workers: int = 2
    process: BaseProcess = field(init=False)

    def __post_init__(self) -> None:
        words = (*WORDS[self.way], "--workers", str(self.workers))
        self.process = FORK.Process(target=lead, args=(self.store, words, self.anew))
        self.process.start()

    @property
    def code(self) -> int | None:
        return self.process.exitcode

    def family(self) -> dict[str, list[psutil.Process]]:
        """The processes that it consists of now, by what they are."""
        leader = psutil.Process(self.process.pid)
        below = leader.children(recursive=True)
        servers = [each for each in below if each.ppid() == leader.pid]
        workers = [each for each in below if each not in servers]
        everyone = [*workers, *servers, leader]
        return {
            "controller": [leader],
            "fork server": servers,
            "worker": workers,
            "all": everyone,
        }

    def hit(self, victim: str, draw: random.Random) -> Kill | None:
        """Kill it, or a part of it; None if it was done before. It stands still meanwhile, so that
        what the dead leave can be looked at.
        """
        with suppress(psutil.NoSuchProcess):
            leader = psutil.Process(self.process.pid)
            while lives(leader):
                leader.suspend()
                family = self.family()
                if family[victim]:
                    return self._kill(victim, family, draw)
                leader.resume()  # between two stages there is no worker
                time.sleep(LOOK)
        return None

    def _kill(
        self, victim: str, family: dict[str, list[psutil.Process]], draw: random.Random
    ) -> Kill:
        everyone, chosen = family["all"], list(family[victim])
        if victim == "worker":
            chosen = doomed = [draw.choice(chosen)]
        elif victim == "fork server":
            doomed = family["fork server"] + family["worker"]
        else:
            doomed = everyone
        draw.shuffle(chosen)
        for each in chosen:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        waited_for(lambda: not any(map(lives, doomed)), DEATH)
        orphans = [each for each in doomed if lives(each)]
        interrupted = list(abandoned(self.store))
        again = [work for work in interrupted if not stored(self.store, work)]
        kill = Kill(victim, len(interrupted), len(again), stamps(self.store), len(orphans))
        for each in orphans:
            each.kill()
        if victim in ("worker", "fork server"):
            psutil.Process(self.process.pid).resume()
        return kill

    def ends_well(self) -> bool:
        """Whether it ends with exit code 0, undisturbed."""
        self.process.join(PATIENCE)
        if self.code is None:
            with suppress(psutil.NoSuchProcess):
                for each in self.family()["all"]:
                    each.kill()
        return self.code == 0


@dataclass(frozen=True)
class Kill:
    """interrupted: stages whose claims the dead left; again: those of them that had stored nothing
    yet. stored: what was stored by then, with the marks by which a second writing is seen.
    """

    victim: str
    interrupted: int
    again: int
    stored: dict[Path, tuple[int, int]]
    orphans: int


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def waited_for(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK)
    return True
