"""Interrupted, killed, doubled: whatever happens to a matrix, it ends with the results of an undisturbed run."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from equal_results import assert_same

from benchbd.errors import Unwritable
from benchbd.running.executor import Limits, Session, open_executor
from benchbd.running.matrix import Matrix
from benchbd.running.protocol import Protocol

WORKERS = 2
PARTS = {
    "attacks": ["corner", "own_training"],
    "defenses": ["none", {"name": "jitter", "params": {"seconds": 0.6}}, "retrains"],
    "seeds": [0, 1],
}
"""Slow enough that a controller on a busy machine is not done before it is disturbed."""

STAGES = Counter({"corner": 2, "own_training": 2, "jitter": 4, "retrains": 2})
"""How often each plugin that notes its work has work to do."""


SOON = 0.15
"""Seconds after its first stage has begun in which a controller is disturbed; it is never done by then."""


@pytest.fixture(scope="module")
def protocol(tiny: Any) -> Protocol:
    return tiny(**PARTS)


@pytest.fixture(scope="module")
def undisturbed(protocol: Protocol, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a run by one worker that nothing happened to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with open_executor("local", {"executor.workers": "1"}, Limits(threads=1)) as session:
        _matrix(protocol, folder).run(session)
    yield folder


def test_a_training_that_the_attacker_controls_leaves_nothing_to_retrain_on(undisturbed: Path, protocol: Protocol) -> None:
    codes = {(c.cell.attack.name, c.cell.defense.name): c.status for c in _matrix(protocol, undisturbed).cells()}
    assert len(codes) == 6
    status = codes.pop(("own_training", "retrains"))
    assert (status.code, status.stage) == ("n/a", "plan")
    assert "own_training controls training itself" in status.reason
    assert {status.code for status in codes.values()} == {"ok"}


def test_two_workers_side_by_side_give_the_same_as_one(
    undisturbed: Path, protocol: Protocol, tmp_path: Path, two_workers: Session
) -> None:
    _matrix(protocol, tmp_path).run(two_workers)
    assert_same(undisturbed, tmp_path)


def test_from_scratch_in_another_process_the_files_are_the_same(undisturbed: Path, protocol: Protocol, tmp_path: Path) -> None:
    with open_executor("inprocess", {}, Limits()) as session:
        _matrix(protocol, tmp_path).run(session)
    assert_same(undisturbed, tmp_path)


def test_interrupted_then_killed_then_resumed(
    undisturbed: Path, protocol: Protocol, tmp_path: Path, notes: Any, two_workers: Session
) -> None:
    """Ctrl-C, `kill -9` of the controller and `kill -9` of a worker, each at a random moment of the work."""
    moment = random.Random(seed := time.time_ns())
    print(f"moments drawn from {seed}")

    first = _controller(protocol, tmp_path)
    _wait_for(lambda: notes())
    time.sleep(moment.uniform(0, SOON))
    family = psutil.Process(first.pid).children(recursive=True)
    first.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, told = first.communicate(timeout=10)
    assert first.returncode == 130 and "same command" in told
    assert time.monotonic() - began < 10
    assert family
    _wait_for(lambda: not any(_runs(process) for process in family), 5)
    repeated = len(notes())

    second = _controller(protocol, tmp_path)
    _wait_for(lambda: len(notes()) > repeated)
    time.sleep(moment.uniform(0, SOON))
    family = psutil.Process(second.pid).children(recursive=True)
    second.kill()
    second.communicate()
    assert family
    _wait_for(lambda: not any(_runs(process) for process in family), 5)

    before = len(notes())
    killed: list[int] = []

    def kill_a_worker(_: object) -> None:
        new = notes()[before:]
        if not killed and new:
            time.sleep(moment.uniform(0, 0.3))
            killed.append(int(new[-1][-1]))
            if psutil.pid_exists(killed[0]):
                os.kill(killed[0], signal.SIGKILL)

    _matrix(protocol, tmp_path).run(two_workers, kill_a_worker)
    assert_same(undisturbed, tmp_path)
    done = Counter(words[0] for words in notes())
    assert all(done[name] >= count for name, count in STAGES.items())
    assert (done - STAGES).total() <= 2 * WORKERS + 1, "only stages that ran when something was killed may run again"


def test_two_controllers_share_the_work(undisturbed: Path, protocol: Protocol, tmp_path: Path, notes: Any) -> None:
    pair = [_controller(protocol, tmp_path, workers=1) for _ in range(2)]
    outputs = [controller.communicate(timeout=120) for controller in pair]
    assert [controller.returncode for controller in pair] == [0, 0], outputs
    assert Counter(words[0] for words in notes()) == STAGES
    assert_same(undisturbed, tmp_path)
    assert not list(tmp_path.rglob("*.spec.json")) and not list(tmp_path.rglob(".claim"))


def test_what_was_damaged_is_noticed_and_made_again(
    undisturbed: Path, protocol: Protocol, tmp_path: Path, notes: Any, two_workers: Session
) -> None:
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    results = {(p.parts[-3], p.parts[-2], p.name[0]): p for p in (tmp_path / "results").rglob("*.json")}
    truncated, empty, foreign = results["corner", "jitter", "0"], results["corner", "jitter", "1"], results["corner", "none", "0"]
    edited, predictions = results["corner", "none", "1"], results["corner", "retrains", "0"]
    truncated.write_bytes(truncated.read_bytes()[:-100])
    empty.write_bytes(b"")
    foreign.write_bytes(results["own_training", "none", "0"].read_bytes())
    better = json.loads(edited.read_text())
    better["metrics"]["acc"] = 0.99
    edited.write_text(json.dumps(better))
    beside = predictions.with_name(f"{predictions.stem}.predictions.safetensors")
    beside.write_bytes(beside.read_bytes()[:-1] + b"\x07")
    (attack_result,) = tmp_path.glob("record/corner-*-seed0-*/attack_result.pt")
    attack_result.write_bytes(attack_result.read_bytes()[:5000])

    matrix = _matrix(protocol, tmp_path)
    broken = {s.planned.result_name.split("/", 1)[1]: s.reason for s in matrix.standings if s.state == "broken"}
    assert len(broken) == 5 == len(matrix.todo())
    for path, words in (
        (truncated, "not JSON"),
        (empty, "not JSON"),
        (foreign, "result of other work"),
        (edited, "changed after it was written"),
        (predictions, "missing or changed"),
    ):
        assert words in broken["/".join(path.parts[-3:])]
    assert Counter(matrix.attacked.values()) == {"broken": 1, "stored": 1}

    matrix.run(two_workers)
    assert Counter(words[0] for words in notes()) == {"corner": 1, "jitter": 2, "retrains": 1}
    assert_same(undisturbed, tmp_path)


def test_a_full_disk_ends_the_matrix_and_leaves_what_is_finished(
    undisturbed: Path, protocol: Protocol, full_disk: Path, tmp_path: Path, two_workers: Session
) -> None:
    matrix = Matrix(protocol, results=full_disk / "results", records=tmp_path / "record")
    with pytest.raises(Unwritable, match=r"No space left on device.*same command again"):
        matrix.run(two_workers)
    finished = matrix.cells()
    assert 0 < len(finished) < len(matrix.standings)
    assert not matrix.store.faults()
    subprocess.run(["mount", "-o", "remount,size=16m", full_disk], check=True)
    again = Matrix(protocol, results=full_disk / "results", records=tmp_path / "record")
    assert Counter(s.state for s in again.standings)["reused"] == len(finished)
    again.run(two_workers)
    assert_same(undisturbed, full_disk)
    subprocess.run(["mount", "-o", "remount,ro", full_disk], check=True)
    with pytest.raises(Unwritable, match="Read-only file system; choose another folder"):
        Matrix(protocol, results=full_disk / "results", records=tmp_path / "record").run(two_workers)
    assert_same(undisturbed, full_disk)


def test_a_folder_that_cannot_be_is_refused_before_any_work(
    protocol: Protocol, tmp_path: Path, notes: Any, two_workers: Session
) -> None:
    (tmp_path / "results").write_text("a file where a folder should be")
    with pytest.raises(Unwritable, match=r"cannot write to .*results"):
        _matrix(protocol, tmp_path).run(two_workers)
    assert not notes() and not (tmp_path / "record").exists()


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system on which a few results fit."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "benchbd-test", folder], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


def _matrix(protocol: Protocol, folder: Path) -> Matrix:
    return Matrix(protocol, results=folder / "results", records=folder / "record")


def _controller(protocol: Protocol, folder: Path, workers: int = WORKERS) -> subprocess.Popen[str]:
    """The command line at work in `folder`."""
    (folder / "tiny.yaml").write_text(yaml.safe_dump(protocol.model_dump(mode="json", by_alias=True)))
    command = [sys.executable, "-m", "benchbd", "matrix", "tiny.yaml", "--results", "results", "--workers", str(workers)]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_hear_interrupts
    )


def _hear_interrupts() -> None:
    """A shell lets what it starts in the background ignore Ctrl-C, and so would all that these tests start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait_for(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
