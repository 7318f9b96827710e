"""The nursery: a process that has imported what every stage needs, and forks a worker whenever it
is asked for one.

Importing torch takes seconds, forking takes milliseconds. Plugins are imported by the workers
alone, so that one that breaks or hangs at its import harms no stage but its own.

A request is one byte on the nursery's socket with two pipes: the worker reads its orders from one
(a line with its environment as JSON, then the path of a spec on each line); the nursery writes the
worker's process id, and later its exit code, to the other. When the socket closes, because its
owner is done or was killed, all workers are killed.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
import warnings
from contextlib import suppress
from typing import NoReturn

from benchbd.executing.worker import serve

FORK_POLL_SECONDS = 0.02
PRELOADED = (
    "benchbd.executing.stage",
    "torch._dynamo",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
)
"""The stages, and what torch and the core import only when the first optimizer and the first
picture are made.
"""


def main() -> None:
    """Serve the socket whose descriptor is the first argument."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    for module in PRELOADED:
        importlib.import_module(module)
    warnings.filterwarnings(
        "ignore", "This process .* is multi-threaded"
    )  # by OpenBLAS alone, whose threads survive a fork
    workers: dict[int, int] = {}
    while _heed(channel, workers):
        _bury(workers)
    for pid in workers:
        _kill_group(pid)


def _heed(channel: socket.socket, workers: dict[int, int]) -> bool:
    """Wait for a moment and fork if that is asked for; False once the socket has closed."""
    ready, _, _ = select.select([channel], [], [], FORK_POLL_SECONDS if workers else None)
    if not ready:
        return True
    request, pipes, _, _ = socket.recv_fds(channel, 1, 2)
    if not request:
        return False
    orders, tidings = pipes
    pid = os.fork()
    if pid == 0:
        channel.close()
        for pipe in (*workers.values(), tidings):
            os.close(pipe)
        _live(orders)
    os.close(orders)
    workers[pid] = tidings
    _tell(tidings, pid)
    return True


def _live(orders: int) -> NoReturn:
    """The life of a worker, in a session of its own, from its first order to its exit."""
    code: object = 1
    try:
        nursery = os.getppid()
        os.setsid()
        _die_with(nursery)
        with open(orders, encoding="utf-8") as lines:
            os.environ.update(json.loads(lines.readline()))
            serve(lines)
        code = 0
    except SystemExit as exit_:
        code = exit_.code or 0
    # nothing is above this frame but the nursery's own loop, which is not the worker's to go on
    # with
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
        os._exit(code if isinstance(code, int) else 1)


def _die_with(nursery: int) -> None:
    """On Linux the kernel kills this process when the nursery dies, however it dies."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != nursery:
        os._exit(1)


def _bury(workers: dict[int, int]) -> None:
    """Report workers that have ended; what a worker has left running in its group is killed while
    its number is held.
    """
    while (
        workers
        and (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None
    ):
        pid = ended.si_pid
        _kill_group(pid)
        _, status = os.waitpid(pid, 0)
        if pid in workers:
            tidings = workers.pop(pid)
            _tell(tidings, os.waitstatus_to_exitcode(status))
            os.close(tidings)


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _tell(tidings: int, number: int) -> None:
    with suppress(BrokenPipeError):
        os.write(tidings, f"{number}\n".encode())


if __name__ == "__main__":
    main()
    os._exit(0)  # taking down all that was imported takes a second, for nothing
