"""The fork server: a process that has imported what every stage needs, and forks workers from it.

Importing torch takes seconds, forking takes milliseconds. Plugins are imported by the workers
alone, so that a plugin that breaks or hangs at its import harms no stage but its own.

A request is one byte on the server's socket, together with two pipes. From the first the worker
reads its commands: a line with its environment as JSON, then the path of a spec on each line. To
the second the server writes the worker's process id, and later its exit code. When the socket
closes, because its owner is done or was killed, the server kills all workers and ends.
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
"""The stages, and the modules that torch and the core would import only for the first optimizer and
the first picture.
"""


def main() -> None:
    """Serve the socket whose descriptor is the first argument."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    for module in PRELOADED:
        importlib.import_module(module)
    # its other threads are those of OpenBLAS, which survive a fork
    warnings.filterwarnings("ignore", "This process .* is multi-threaded")
    workers: dict[int, int] = {}
    while _serve_request(channel, workers):
        _report_ended(workers)
    for pid in workers:
        _kill_group(pid)


def _serve_request(channel: socket.socket, workers: dict[int, int]) -> bool:
    """Wait a moment for a request and fork a worker for it. Returns False once the socket has
    closed.
    """
    ready, _, _ = select.select([channel], [], [], FORK_POLL_SECONDS if workers else None)
    if not ready:
        return True
    request, pipes, _, _ = socket.recv_fds(channel, 1, 2)
    if not request:
        return False
    commands, reports = pipes
    pid = os.fork()
    if pid == 0:
        channel.close()
        for pipe in (*workers.values(), reports):
            os.close(pipe)
        _run_worker(commands)
    os.close(commands)
    workers[pid] = reports
    _report(reports, pid)
    return True


def _run_worker(commands: int) -> NoReturn:
    """Run a worker in a session of its own, from its first command to its exit."""
    code: object = 1
    try:
        server = os.getppid()
        os.setsid()
        _end_with(server)
        with open(commands, encoding="utf-8") as lines:
            os.environ.update(json.loads(lines.readline()))
            serve(lines)
        code = 0
    except SystemExit as exit_:
        code = exit_.code or 0
    # above this frame is only the loop of the server, which a worker must not continue
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
        os._exit(code if isinstance(code, int) else 1)


def _end_with(server: int) -> None:
    """Let the kernel kill this process when the server dies, however it dies; on Linux only."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != server:
        os._exit(1)


def _report_ended(workers: dict[int, int]) -> None:
    """Report workers that have ended. What a worker left running in its process group is killed
    while the number of the group cannot be taken by another.
    """
    while (
        workers
        and (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None
    ):
        pid = ended.si_pid
        _kill_group(pid)
        _, status = os.waitpid(pid, 0)
        if pid in workers:
            reports = workers.pop(pid)
            _report(reports, os.waitstatus_to_exitcode(status))
            os.close(reports)


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _report(reports: int, number: int) -> None:
    with suppress(BrokenPipeError):
        os.write(reports, f"{number}\n".encode())


if __name__ == "__main__":
    main()
    os._exit(0)  # an ordinary exit spends a second on freeing the imported modules
