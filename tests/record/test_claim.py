"""Claims: one owner at a time, and the dead own nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchbd.record import claim as claims
from benchbd.record.claim import Busy, claim, is_held


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
    _owned_by(path, age=10 * claims.SILENCE)
    assert is_held(path)


@pytest.mark.parametrize(
    ("age", "held"), [(0, True), (claims.SILENCE - 10, True), (claims.SILENCE + 10, False)]
)
def test_another_host_is_judged_by_its_silence(path: Path, age: float, held: bool) -> None:
    _owned_by(path, age=age, host="elsewhere")
    assert is_held(path) is held
    if held:
        with pytest.raises(Busy, match="on elsewhere"), claim(path):
            pass
    else:
        with claim(path):
            assert is_held(path)


def test_a_claim_that_cannot_be_read_is_waited_for(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("{")
    with pytest.raises(Busy, match="an unknown process"), claim(path):
        pass


def test_the_owner_gives_signs_of_life(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "HEARTBEAT", 0.02)
    with claim(path):
        os.utime(path, (0, 0))
        time.sleep(0.3)
        assert path.stat().st_mtime > 0


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
