"""The nursery, spoken to as an executor speaks to it: workers come at once, their ends are told,
and none outlives it.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import IO

import psutil
import pytest

from benchbd.executing import fork_server

PROGRAM = """
import sys
from benchbd.executing import fork_server
fork_server.PRELOADED = ()
fork_server.serve = lambda lines: [exec(line) for line in lines]
fork_server.main()
"""
"""A nursery that imports nothing large, and whose workers do what they are told in Python."""

PATIENCE = 20


class Nursery:
    def __init__(self) -> None:
        self.channel, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(theirs.fileno())], pass_fds=[theirs.fileno()]
            )

    def worker(self, *orders: str, **environment: str) -> IO[str]:
        """What is told of a worker: its number, and when it has ended its exit code."""
        orders_out, orders_in = os.pipe()
        tidings, tidings_in = os.pipe()
        socket.send_fds(self.channel, [b"+"], [orders_out, tidings_in])
        os.close(orders_out)
        os.close(tidings_in)
        with open(orders_in, "w") as told:
            told.write("\n".join([json.dumps(environment), *orders, ""]))
        return open(tidings)


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    found = Nursery()
    yield found
    found.channel.close()
    found.process.wait(PATIENCE)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.slow
@pytest.mark.parametrize(
    ("order", "code"),
    [
        ("pass", 0),
        ("import sys; sys.exit(3)", 3),
        ("1 / 0", 1),
        ("import os; os._exit(7)", 7),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9),
    ],
)
def test_how_a_worker_ended_is_told(nursery: Nursery, order: str, code: int) -> None:
    with nursery.worker(order) as tidings:
        pid, ended = (int(line) for line in tidings)
    assert ended == code and pid != nursery.process.pid


@pytest.mark.slow
def test_each_worker_has_its_own_environment_session_and_life(nursery: Nursery) -> None:
    check = "import os, sys; sys.exit(int(os.environ['CODE']) + (os.getpid() == os.getsid(0)))"
    workers = [nursery.worker(check, CODE=str(code)) for code in (10, 20, 30)]
    ends = []
    for tidings in workers:
        with tidings:
            ends.append([int(line) for line in tidings])
    assert [code for _, code in ends] == [11, 21, 31]
    assert len({pid for pid, _ in ends}) == 3


@pytest.mark.slow
def test_when_its_owner_is_gone_so_are_its_workers(nursery: Nursery) -> None:
    with nursery.worker("import time; time.sleep(600)") as tidings:
        pid = int(tidings.readline())
        assert not gone(pid)
        nursery.channel.close()
        nursery.process.wait(PATIENCE)
        psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], PATIENCE)
        assert gone(pid)


def test_what_is_loaded_beforehand_is_there() -> None:
    for name in fork_server.PRELOADED:
        assert importlib.util.find_spec(name) is not None, name
