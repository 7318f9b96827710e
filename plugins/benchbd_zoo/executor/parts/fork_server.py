"""The near side of `benchbd.executing.fork_server`: worker processes that start within
milliseconds.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

CLOSE_SECONDS = 2.0
"""Seconds in which a fork server that is no longer needed must end."""


class ForkServer:
    """A process that forks workers. It ends, and its workers with it, when this object is closed or
    its owner dies.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "benchbd.executing.fork_server", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def worker(self, environment: dict[str, str]) -> Worker:
        """A worker with these additions to the environment. If the fork server has died it is a
        lost one.
        """
        commands_out, commands = os.pipe()
        reports, reports_in = os.pipe()
        with suppress(OSError):
            socket.send_fds(self._channel, [b"+"], [commands_out, reports_in])
        os.close(commands_out)
        os.close(reports_in)
        return Worker(commands, reports, environment)

    def close(self) -> None:
        self._channel.close()
        try:
            self._process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Worker:
    """A process with a group of its own. `pid` is known once it has started, `exit_code` once it
    has ended.

    A worker whose fork server died is `lost`: it has died with it.
    """

    def __init__(self, commands: int, reports: int, environment: dict[str, str]) -> None:
        self.environment = environment
        self.pid: int | None = None
        self.exit_code: int | None = None
        self.lost = False
        os.set_blocking(reports, False)
        self._reports = os.fdopen(reports, "rb", buffering=0)
        self._heard = b""
        self._commands = os.fdopen(commands, "wb", buffering=0)
        self._say(json.dumps(environment))

    def begin(self, spec: Path) -> None:
        """Run a stage after those that it was told of before."""
        self._say(str(spec.absolute()))

    def dismiss(self) -> None:
        """Let it end when it has done what it was told."""
        self._commands.close()

    def running(self) -> bool:
        """Whether it runs or is about to, from what has been heard of it until now."""
        while (
            self.exit_code is None
            and not self.lost
            and (news := self._reports.read(64)) is not None
        ):
            self._heard += news
            self.lost = not news
            numbers = [
                int(line) for line in self._heard.splitlines(keepends=True) if line.endswith(b"\n")
            ]
            self.pid = numbers[0] if numbers else None
            self.exit_code = numbers[1] if len(numbers) > 1 else None
        return self.exit_code is None and not self.lost

    def signal(self, number: int) -> None:
        """To the whole process group."""
        if self.running() and self.pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def close(self) -> None:
        self._commands.close()
        self._reports.close()

    def memory(self) -> int:
        """Resident bytes of the process and all its children."""
        total = 0
        try:
            leader = psutil.Process(self.pid)
            family = [leader, *leader.children(recursive=True)]
        except psutil.Error:
            return 0
        for process in family:
            with suppress(psutil.Error):
                total += process.memory_info().rss
        return total

    def _say(self, line: str) -> None:
        with suppress(BrokenPipeError):
            self._commands.write(f"{line}\n".encode())
