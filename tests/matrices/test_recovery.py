"""Interrupted, killed, doubled: whatever happens to a matrix, it ends with the results of an
undisturbed run.
"""

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
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from benchbd.errors import Unwritable
from benchbd.executing.executor import Limits, Session, open_executor
from benchbd.executing.stage import DefenseSpec, read_spec
from benchbd.matrices.matrix import Matrix
from benchbd.record.attack_files import is_stored
from benchbd.record.cells import ResultStore
from benchbd.running.protocol import Protocol
from support.equal_results import assert_same

pytestmark = pytest.mark.slow

WORKERS = 2
PARTS = {
    "attacks": ["corner", "own_training"],
    "defenses": ["none", {"name": "jitter", "params": {"seconds": 0.6}}, "retrains"],
    "seeds": [0, 1],
}
"""Slow enough that a controller on a busy machine is not done before it is disturbed."""

STAGES = Counter({"corner": 2, "own_training": 2, "jitter": 4, "retrains": 2})
"""How often each plugin that notes its work has work to do."""

DISTURBANCES = (signal.SIGINT, signal.SIGKILL)
"""What two controllers get that work in a folder one after the other."""

SEED = 3
"""Of the moments at which something is disturbed."""


@pytest.fixture(scope="module")
def protocol(tiny: Any) -> Protocol:
    return tiny(**PARTS)


@dataclass(frozen=True)
class Run:
    """What two workers of the command line made in `folder`, and the seconds from their first stage
    to their last result.
    """

    folder: Path
    seconds: float


@pytest.fixture(scope="module")
def side_by_side(protocol: Protocol, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("side by side")
    controller = _controller(protocol, folder)
    _wait_for_a_stage(controller)
    began = time.time()
    assert controller.communicate(timeout=120) and controller.returncode == 0
    return Run(
        folder, max(path.stat().st_mtime for path in folder.glob("results/**/*.json")) - began
    )


@pytest.fixture(scope="module")
def undisturbed(protocol: Protocol, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a run by one worker that nothing happened to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with open_executor("local", {"executor.workers": "1"}, Limits(threads=1)) as session:
        _matrix(protocol, folder).run(session)
    yield folder


def test_a_training_that_the_attacker_controls_leaves_nothing_to_retrain_on(
    undisturbed: Path, protocol: Protocol
) -> None:
    codes = {
        (c.cell.attack.name, c.cell.defense.name): c.status
        for c in _matrix(protocol, undisturbed).cells()
    }
    assert len(codes) == 6
    status = codes.pop(("own_training", "retrains"))
    assert (status.code, status.stage) == ("n/a", "plan")
    assert "own_training controls training itself" in status.reason
    assert {status.code for status in codes.values()} == {"ok"}


def test_two_workers_side_by_side_give_the_same_as_one(
    undisturbed: Path, side_by_side: Run
) -> None:
    assert_same(undisturbed, side_by_side.folder)


def test_from_scratch_in_another_process_the_files_are_the_same(
    undisturbed: Path, protocol: Protocol, tmp_path: Path
) -> None:
    with open_executor("inprocess", {}, Limits()) as session:
        _matrix(protocol, tmp_path).run(session)
    assert_same(undisturbed, tmp_path)


def test_interrupted_then_killed_then_resumed(
    undisturbed: Path,
    side_by_side: Run,
    protocol: Protocol,
    tmp_path: Path,
    notes: Any,
    two_workers: Session,
) -> None:
    """Ctrl-C and then `kill -9` of a controller, at a moment of the first and one of the second
    half of an undisturbed run.
    """
    draw, part = random.Random(SEED), side_by_side.seconds / len(DISTURBANCES)
    moments = [0.0, *(part * (place + draw.random()) for place in range(len(DISTURBANCES)))]
    for share in (
        1,
        1 / 2,
        1 / 4,
        1 / 8,
        0,
    ):  # earlier, if the machine has become so fast that a controller was done by then
        folder, before = tmp_path / f"{share}", len(notes())
        folder.mkdir()
        pauses = [share * (moment - last) for last, moment in pairwise(moments)]
        if all(
            _disturb(protocol, folder, *disturbance)
            for disturbance in zip(DISTURBANCES, pauses, strict=True)
        ):
            break
    else:
        pytest.fail("every controller was done before it was disturbed")
    _matrix(protocol, folder).run(two_workers)
    assert_same(undisturbed, folder)
    left = ("*.spec*.json", "*.part", ".claim", ".controllers")
    assert [path for name in left for path in folder.rglob(name)] == []
    done = Counter(words[0] for words in notes()[before:])
    assert all(done[name] >= count for name, count in STAGES.items())
    assert (done - STAGES).total() <= WORKERS * len(DISTURBANCES), (
        "only stages that ran when something was killed may run again"
    )


def test_a_stage_whose_worker_is_killed_runs_once_more(
    undisturbed: Path,
    protocol: Protocol,
    tmp_path: Path,
    notes: Any,
    two_workers: Session,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`kill -9` of the worker of each stage that notes its work, at a random moment of
    that work.
    """
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    (record,) = tmp_path.glob("record/corner-*-seed1-*")
    shutil.rmtree(record)
    for path in tmp_path.glob("results/*/corner/*/1*"):
        path.unlink()
    draw, ended = random.Random(SEED), two_workers.ended
    tried: set[str] = set()
    repeated: list[str] = []

    def kill_and_ask(stage: Any) -> Any:
        name = next((words[0] for words in notes() if int(words[-1]) == stage.worker.pid), None)
        if name is not None and name not in tried:
            tried.add(name)
            time.sleep(draw.uniform(0, 0.3))
            if _kill(stage.worker) and not _stored(stage.spec):
                repeated.append(name)
        return ended(stage)

    monkeypatch.setattr(two_workers, "ended", kill_and_ask)
    matrix = _matrix(protocol, tmp_path)
    matrix.run(two_workers)
    assert repeated
    assert Counter(words[0] for words in notes()) == Counter(
        ["corner", "jitter", "retrains", *repeated]
    )
    made = [
        cell for cell in matrix.cells() if (cell.cell.attack.name, cell.cell.seed) == ("corner", 1)
    ]
    assert {cell.cell.defense.name: cell.provenance["retries"] for cell in made} == {
        name: int(name in repeated) for name in ("none", "jitter", "retrains")
    }
    assert_same(undisturbed, tmp_path)


def test_two_controllers_share_the_work(
    undisturbed: Path, protocol: Protocol, tmp_path: Path, notes: Any
) -> None:
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
    results = {
        (p.parts[-3], p.parts[-2], p.name[0]): p for p in (tmp_path / "results").rglob("*.json")
    }
    truncated, empty, foreign = (
        results["corner", "jitter", "0"],
        results["corner", "jitter", "1"],
        results["corner", "none", "0"],
    )
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
    broken = {
        s.planned.result_name.split("/", 1)[1]: s.reason
        for s in matrix.standings
        if s.state == "broken"
    }
    assert len(broken) == 5 == len(matrix.todo())
    for path, words in (
        (truncated, "not JSON"),
        (empty, "not JSON"),
        (foreign, "result of other work"),
        (edited, "changed after it was written"),
        (predictions, "do not have the digest that it names"),
    ):
        assert words in broken["/".join(path.parts[-3:])]
    assert Counter(attacked.state for attacked in matrix.attacked.values()) == {
        "broken": 1,
        "stored": 1,
    }

    matrix.run(two_workers)
    assert Counter(words[0] for words in notes()) == {"corner": 1, "jitter": 2, "retrains": 1}
    assert_same(undisturbed, tmp_path)


def test_a_full_disk_ends_the_matrix_and_leaves_what_is_finished(
    undisturbed: Path, protocol: Protocol, full_disk: Path, tmp_path: Path, two_workers: Any
) -> None:
    matrix = Matrix(protocol, results=full_disk / "results", records=tmp_path / "record")
    with pytest.raises(Unwritable, match=r"No space left on device.*same command again"):
        matrix.run(two_workers)
    _wait_for(
        lambda: not any(stage.worker.running() for stage in two_workers.running)
    )  # each may still store its result
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
        Matrix(protocol, results=full_disk / "results", records=tmp_path / "record").run(
            two_workers
        )
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
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "benchbd-test", folder],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


def _matrix(protocol: Protocol, folder: Path) -> Matrix:
    return Matrix(protocol, results=folder / "results", records=folder / "record")


def _controller(protocol: Protocol, folder: Path, workers: int = WORKERS) -> subprocess.Popen[str]:
    """The command line at work in `folder`."""
    (folder / "tiny.yaml").write_text(
        yaml.safe_dump(protocol.model_dump(mode="json", by_alias=True))
    )
    command = [
        sys.executable,
        "-m",
        "benchbd",
        "matrix",
        "tiny.yaml",
        "--results",
        "results",
        "--workers",
        str(workers),
    ]
    return subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_hear_interrupts,
    )


def _disturb(protocol: Protocol, folder: Path, disturbance: signal.Signals, pause: float) -> bool:
    """Send a signal to a controller some seconds after its first stage has begun; False if it was
    done by then.
    """
    controller = _controller(protocol, folder)
    _wait_for_a_stage(controller)
    time.sleep(pause)
    process = psutil.Process(controller.pid)
    process.suspend()  # so that it cannot finish between the look at its work and the signal
    _wait_for(lambda: process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE))
    family, matrix = process.children(recursive=True), _matrix(protocol, folder)
    if at_work := len(matrix.cells()) < len(matrix.standings):
        controller.send_signal(disturbance)
    controller.send_signal(signal.SIGCONT)
    _, told = controller.communicate(timeout=10)
    if at_work:
        assert controller.returncode == (130 if disturbance == signal.SIGINT else -disturbance)
        assert disturbance != signal.SIGINT or "same command" in told
        assert family
        _wait_for(lambda: not any(_runs(process) for process in family), 5)
    return at_work


def _wait_for_a_stage(controller: subprocess.Popen[str]) -> None:
    """Until a process of a stage runs beside the one that starts them, or the
    controller is done.
    """
    process = psutil.Process(controller.pid)
    _wait_for(lambda: len(process.children(recursive=True)) > 1 or not _runs(process))


def _kill(worker: Any) -> bool:
    """Kill a worker; whether it still lived."""
    with suppress(ProcessLookupError):
        os.kill(worker.pid, signal.SIGKILL)
    _wait_for(lambda: not worker.running())
    return bool(worker.exit_code == -signal.SIGKILL)


def _stored(path: Path) -> bool:
    """Whether what the stage with this spec makes is there already."""
    spec = read_spec(path)
    if isinstance(spec, DefenseSpec):
        return ResultStore(spec.results).has(spec.result, spec.key)
    return is_stored(spec.folder, spec.ingredients.attack_key)


def _hear_interrupts() -> None:
    """A shell lets what it starts in the background ignore Ctrl-C, and so would all that these
    tests start.
    """
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
