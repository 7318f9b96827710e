"""Claims: one owner at a time, and the dead own nothing."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchbd.errors import Unwritable
from benchbd.record import claim as claims
from benchbd.record.claim import Busy, claim, claim_in_turn, is_held


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "work" / ".claim"


def _owned_by(path: Path, age: float = 0.0, **changes: object) -> None:
    """A claim as another process leaves it."""
    with claim(path):
        owner = json.loads(path.read_text())
    path.write_text(json.dumps(owner | changes))
    os.utime(path, (time.time() - age,) * 2)


def test_it_holds_while_it_is_held(path: Path) -> None:
    assert not is_held(path)
    with claim(path):
        assert is_held(path)
        with (
            pytest.raises(Busy, match=f"work is being worked on by process {os.getpid()}"),
            claim(path),
        ):
            pass
        assert is_held(path), "who was turned away takes nothing with it"
    assert not path.exists()


def test_it_is_given_back_when_the_work_fails(path: Path) -> None:
    with pytest.raises(RuntimeError), claim(path):
        raise RuntimeError
    assert not path.exists()


def test_a_dead_process_owns_nothing(path: Path) -> None:
    program = (
        "from benchbd.record.claim import *\nimport sys\nwith claim(Path(sys.argv[1])): os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", program, path], check=True)
    assert json.loads(path.read_text())["pid"] != os.getpid()
    assert not is_held(path)
    with claim(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_another_process_with_the_number_of_a_dead_one_is_not_its_owner(path: Path) -> None:
    _owned_by(path, born="1")
    assert not is_held(path)


def test_a_living_process_may_be_silent_for_long(path: Path) -> None:
    _owned_by(path, age=10 * claims.SILENCE_SECONDS)
    assert is_held(path)


@pytest.mark.parametrize("where", ["host", "boot", "namespace"])
@pytest.mark.parametrize(
    ("age", "held"),
    [(0, True), (claims.SILENCE_SECONDS - 10, True), (claims.SILENCE_SECONDS + 10, False)],
)
def test_who_cannot_be_seen_is_judged_by_silence(
    path: Path, where: str, age: float, held: bool
) -> None:
    """Another host, another start of this one, or another container on it: there a process that
    has the number of a living one here may be dead, and the other way round.
    """
    _owned_by(path, age=age, **{where: "elsewhere"})
    assert is_held(path) is held
    if held:
        with pytest.raises(Busy, match=f"process {os.getpid()} on"), claim(path):
            pass
    else:
        with claim(path):
            assert is_held(path)


def test_a_claim_that_cannot_be_read_is_waited_for(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("{")
    with pytest.raises(Busy, match="an unknown process"), claim(path):
        pass


@pytest.mark.slow
def test_the_owner_gives_signs_of_life(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.02)
    with claim(path):
        os.utime(path, (0, 0))
        time.sleep(0.3)
        assert path.stat().st_mtime > 0


@pytest.fixture
def _poor_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without links and locks, as exFAT on some systems, and many mounts of FUSE and SMB."""

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "not here")

    for module, verb in ((os, "link"), (os, "symlink"), (fcntl, "flock"), (fcntl, "lockf")):
        monkeypatch.setattr(module, verb, refused)


@pytest.mark.usefixtures("_poor_file_system")
def test_of_many_only_one_takes_over(path: Path) -> None:
    """Twenty threads find the claim of a dead process; never do two of them work at once."""
    _owned_by(path, born="1")
    working, seen, lock = [0], [], threading.Lock()

    def work(_: int) -> bool:
        try:
            with claim(path):
                with lock:
                    working[0] += 1
                    seen.append(working[0])
                time.sleep(0.01)
                with lock:
                    working[0] -= 1
            return True
        except Busy:
            return False

    with ThreadPoolExecutor(20) as pool:
        assert any(pool.map(work, range(60)))
    assert set(seen) == {1}
    assert not path.exists()


PROGRAM = """
import sys, time
from benchbd.record.claim import *
places, log = Path(sys.argv[1]), Path(sys.argv[2])
for _ in range(40):
    try:
        with claim(places):
            with log.open("a") as file: file.write("(")
            time.sleep(0.002)
            with log.open("a") as file: file.write(")")
    except Busy:
        time.sleep(0.001)
"""


@pytest.mark.slow
def test_two_processes_never_hold_it_at_once(path: Path, tmp_path: Path) -> None:
    """The first finds the claim of a dead process."""
    _owned_by(path, born="1")
    log = tmp_path / "log"
    pair = [subprocess.Popen([sys.executable, "-c", PROGRAM, path, log]) for _ in range(2)]
    assert [process.wait(60) for process in pair] == [0, 0]
    text = log.read_text()
    assert len(text) > 20 and text == "()" * (len(text) // 2)


@pytest.mark.slow
@pytest.mark.skipif(
    subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", "true"], capture_output=True, check=False
    ).returncode
    != 0
    if shutil.which("unshare")
    else True,
    reason="this user may not make namespaces of processes",
)
def test_two_containers_that_share_a_name_of_their_host(path: Path) -> None:
    """Each counts its processes from 1, so the number of the owner is nobody's there, or another
    one's.
    """
    other = "import sys\nfrom benchbd.record.claim import *\nprint(is_held(Path(sys.argv[1])))"
    apart = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", other, path]
    with claim(path):
        assert subprocess.check_output(apart, text=True) == "True\n"
    assert subprocess.check_output(apart, text=True) == "False\n"


def test_who_waits_gets_its_turn(path: Path) -> None:
    order: list[str] = []

    def wait() -> None:
        with claim_in_turn(path):
            order.append("second")

    with claim(path):
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert not path.exists()


def test_a_claim_that_cannot_be_written(path: Path) -> None:
    path.parent.parent.joinpath("work").write_text("a file")
    with pytest.raises(Unwritable, match=r"cannot write to .*work: File exists"), claim(path):
        pass


def test_the_claim_of_another_is_neither_touched_nor_removed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one who was silent for a minute, as in a machine that slept, and whose work was taken."""
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.02)
    with claim(path):
        theirs = path.read_text().replace('"token": "', '"token": "0')
        path.write_text(theirs)
        os.utime(path, (0, 0))
        time.sleep(0.2)
        assert path.stat().st_mtime == 0
    assert path.read_text() == theirs
