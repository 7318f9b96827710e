"""Owners: which process it is, and whether it lives, as far as that can be seen."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from benchbd.record.owner import Owner


def another() -> tuple[subprocess.Popen[str], Owner]:
    """A process that waits, and what it says of itself."""
    program = "from benchbd.record.owner import *\nimport json\n"
    program += "print(json.dumps(Owner.me().to_json()), flush=True)\ninput()"
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    import json

    owner = Owner.read(json.loads(process.stdout.readline()))
    assert owner is not None
    return process, owner


def test_it_lives_as_long_as_its_process() -> None:
    process, owner = another()
    assert owner.pid == process.pid != Owner.me().pid
    assert owner.place == Owner.me().place
    assert owner.lives() is True
    process.communicate("\n")
    assert owner.lives() is False


def test_it_is_dead_although_nobody_has_asked_how_it_ended() -> None:
    """Until then it keeps its number; the first process of a container may never ask."""
    process, owner = another()
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    os.kill(process.pid, 0)
    assert owner.lives() is False
    process.communicate()


def test_the_number_of_a_process_is_not_enough() -> None:
    assert Owner.me().lives() is True
    assert replace(Owner.me(), born="1").lives() is False


@pytest.mark.parametrize("where", ["host", "boot", "namespace"])
def test_elsewhere_nobody_can_tell(where: str) -> None:
    """Not even of a number that a living process has here."""
    other = replace(Owner.me(), **{where: "other"})
    assert other.place != Owner.me().place
    assert other.lives() is None


@pytest.mark.parametrize(
    "content",
    [None, [], {}, {"pid": 1, "host": "a", "born": "1"}, {**Owner.me().to_json(), "pid": "x"}],
)
def test_what_names_no_process(content: object) -> None:
    assert Owner.read(content) is None


def test_it_is_written_and_read() -> None:
    me = Owner.me()
    assert Owner.read(me.to_json()) == me
    assert str(me) == f"process {os.getpid()} on {os.uname().nodename}"
    assert replace(me, pid=10**30).lives() is False
