"""The local executor: plugins that misbehave become rows, and nothing of them stays behind."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from benchbd.executing.executor import Limits, Session, open_executor

pytestmark = pytest.mark.slow

LIMITS = Limits(seconds=8.0, memory=2**30, threads=1)
GRACE = 0.5
LOOKED_AT = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "OMP_WAIT_POLICY")

EXPECTED = {
    "none": ("ok", ""),
    "chatters": ("ok", ""),
    "raises": ("failed", "the mask has the wrong shape"),
    "exits": ("crashed", "exit code 3"),
    "segfaults": ("crashed", "SIGSEGV"),
    "gulps": ("oom", "more than its limit of 1,024 MiB"),
    "hangs": ("timeout", "past its limit of 8 s"),
    "stays": ("timeout", "past its limit of 8 s"),
    "not_a_number": ("diverged", "not a number"),
    "inapplicable": ("n/a", "no attention layer"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bad day")


@pytest.fixture(scope="module")
def bad_day(tiny: Any, folder: Path, plugins: Path) -> Iterator[dict[str, Any]]:
    """One attacked model and all the defenses that misbehave, by name; and what they have noted."""
    from benchbd.matrices.matrix import Matrix

    notes = Path(os.environ["BENCHBD_TEST_NOTES"])
    notes.write_text("")
    matrix = Matrix(
        tiny(attacks=["corner"], defenses=list(EXPECTED)),
        results=folder / "results",
        records=folder / "record",
    )
    with open_executor(
        "local", {"executor.workers": "2", "executor.grace": str(GRACE)}, LIMITS
    ) as session:
        matrix.run(session)
        cells = {cell.cell.defense.name: cell for cell in matrix.cells()}
        yield cells | {"notes": [line.split() for line in notes.read_text().splitlines()]}


@pytest.mark.parametrize("defense", EXPECTED)
def test_each_becomes_one_row_that_says_what_happened(
    bad_day: dict[str, Any], defense: str
) -> None:
    code, words = EXPECTED[defense]
    status = bad_day[defense].status
    assert (status.code, words in status.reason) == (code, True), status
    assert status.stage == ("" if code == "ok" else "defense")
    assert (bad_day[defense].metrics is not None) == (code == "ok")


def test_one_training_serves_all_defenses(bad_day: dict[str, Any]) -> None:
    names = [words[0] for words in bad_day["notes"]]
    assert names.count("corner") == 1
    assert all(names.count(name) == 1 for name in EXPECTED if name != "none")


def test_a_failure_keeps_where_it_happened(bad_day: dict[str, Any]) -> None:
    assert "in _trouble" in bad_day["raises"].status.traceback
    assert bad_day["raises"].status.error == "RuntimeError"


def test_every_stage_leaves_a_log_of_bounded_size(bad_day: dict[str, Any], folder: Path) -> None:
    logs = {
        path.parent.name.partition("-")[0]: path
        for path in folder.glob("record/*/defense/*/defense.log")
    }
    assert set(logs) == set(EXPECTED)
    assert len(list(folder.glob("record/*/attack.log"))) == 1
    assert "about to raise" in logs["raises"].read_text()
    assert logs["chatters"].stat().st_size <= 16 * 2**20, "of 48 MB"
    assert logs["chatters"].read_text().endswith("and that was all\n")


def test_nothing_stays_behind(bad_day: dict[str, Any], folder: Path) -> None:
    started = [int(words[2]) for words in bad_day["notes"]] + [
        int(words[1]) for words in bad_day["notes"] if words[0] == "child"
    ]
    assert len(started) > len(EXPECTED)
    assert not [pid for pid in started if _lives(pid)]
    assert not list(folder.rglob("*.spec.json")) and not list(folder.rglob("*.ended.json"))


def test_a_worker_that_is_used_again_runs_one_stage_after_the_other(
    tiny: Any, matrix_in: Any, notes: Any
) -> None:
    protocol = tiny(
        attacks=["corner"],
        defenses=[{"name": "jitter", "params": {"seconds": s / 1000}} for s in range(3)]
        + ["exits"],
    )
    matrix = matrix_in(protocol)
    with open_executor(
        "local", {"executor.workers": "1", "executor.reuse": "true"}, Limits(threads=1)
    ) as session:
        matrix.run(session)
    assert sorted(cell.status.code for cell in matrix.cells()) == ["crashed", "ok", "ok", "ok"]
    assert len({words[-1] for words in notes()}) == 1


def test_a_worker_that_is_killed_is_started_again(
    tiny: Any, matrix_in: Any, notes: Any, two_workers: Session
) -> None:
    matrix = matrix_in(
        tiny(attacks=["corner"], defenses=[{"name": "jitter", "params": {"seconds": 0.6}}])
    )
    killed: list[int] = []

    def kill_one(_: object) -> None:
        if not killed and (pids := [int(words[2]) for words in notes() if words[0] == "jitter"]):
            os.kill(pids[0], signal.SIGKILL)
            killed.append(pids[0])

    _run_watched(matrix, two_workers, kill_one)
    (cell,) = matrix.cells()
    assert killed and cell.status.code == "ok" and cell.provenance["retries"] == 1
    assert [words[0] for words in notes()] == ["corner", "jitter", "jitter"]


def test_a_fork_server_that_is_killed_is_replaced(tiny: Any, matrix_in: Any, notes: Any) -> None:
    matrix = matrix_in(
        tiny(attacks=["corner"], defenses=[{"name": "jitter", "params": {"seconds": 0.6}}])
    )
    killed: list[int] = []

    def kill_server(_: object) -> None:
        if not killed and (pids := [int(words[2]) for words in notes() if words[0] == "jitter"]):
            killed.append(pids[0])
            psutil.Process(pids[0]).parent().kill()

    with open_executor("local", {"executor.workers": "1"}, Limits(threads=1)) as session:
        _run_watched(matrix, session, kill_server)
    assert [cell.status.code for cell in matrix.cells()] == ["ok"]
    assert killed and not _lives(killed[0])


def test_gpus_are_slots_and_a_stage_sees_its_own(tiny: Any, matrix_in: Any, notes: Any) -> None:
    """Two stages on each of two GPUs, all four at a time; without a driver the stages run on the
    CPU all the same.
    """
    looking = {"variables": ",".join(LOOKED_AT), "together": 4}
    matrix = matrix_in(
        tiny(
            attacks=["corner"],
            defenses=[{"name": "looks", "params": looking | {"seat": n}} for n in range(4)],
        )
    )
    settings = {"executor.gpus": "4,6", "executor.per_gpu": "2"}
    with open_executor("local", settings, Limits(seconds=60, threads=1)) as session:
        assert session.capacity == 4
        matrix.run(session)
        assert session.capacity == 4
    assert [cell.status.code for cell in matrix.cells()] == ["ok"] * 4, (
        "nobody has waited in vain for the others"
    )
    assert Counter(words[1] for words in notes() if words[0] == "sees") == {
        "4,1,PASSIVE": 2,
        "6,1,PASSIVE": 2,
    }


def test_without_being_told_each_gpu_takes_one_stage(
    tiny: Any, matrix_in: Any, notes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two stages at a time on two GPUs that this process is shown, whatever the number of cores."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    looking = {"variables": "CUDA_VISIBLE_DEVICES", "together": 2}
    matrix = matrix_in(
        tiny(
            attacks=["corner"],
            defenses=[{"name": "looks", "params": looking | {"seat": n}} for n in range(2)],
        )
    )
    with open_executor("local", {}, Limits(seconds=60, threads=1, device="auto")) as session:
        assert session.capacity == 2
        matrix.run(session)
    assert sorted(words[1] for words in notes() if words[0] == "sees") == ["5", "7"]


def test_a_stage_that_was_given_gpus_by_somebody_else_keeps_them(
    tiny: Any, matrix_in: Any, notes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under a guard, on a node of a cluster that gave the stage two of them."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    looking = {"variables": "CUDA_VISIBLE_DEVICES", "together": 1, "seat": 0}
    matrix = matrix_in(tiny(attacks=["corner"], defenses=[{"name": "looks", "params": looking}]))
    with open_executor(
        "local", {"executor.workers": "1"}, Limits(seconds=60, threads=1)
    ) as session:
        matrix.run(session)
    assert [words[1] for words in notes() if words[0] == "sees"] == ["5,7"]


@pytest.mark.parametrize(
    ("device", "settings", "stages"),
    [
        ("cuda", {"per_gpu": "3"}, 6),
        ("auto", {"workers": "4"}, 4),
        ("auto", {"gpus": "1", "workers": "4"}, 1),
        ("cuda:1", {}, 1),
        ("cuda:1", {"per_gpu": "2"}, 2),
        ("cpu", {}, 3),
    ],
)
def test_several_stages_share_a_gpu_if_told_so(
    device: str, settings: dict[str, str], stages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On three cores and two GPUs."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr("benchbd_zoo.executor.local.usable_cores", lambda: 3)
    texts = {f"executor.{name}": text for name, text in settings.items()}
    with open_executor("local", texts, Limits(threads=1, device=device)) as session:
        assert session.capacity == stages


class _Watched(Session):
    """A session that calls `look` whenever it is asked how a stage stands."""

    def __init__(self, inner: Session, look: Any) -> None:
        self.inner, self.look = inner, look

    @property
    def capacity(self) -> int:
        return self.inner.capacity

    def start(self, spec: Path) -> Any:
        return self.inner.start(spec)

    def ended(self, handle: Any) -> Any:
        self.look(handle)
        return self.inner.ended(handle)

    def close(self) -> None:
        self.inner.close()


def _run_watched(matrix: Any, session: Session, look: Any) -> None:
    matrix.run(_Watched(session, look))


def _lives(pid: int) -> bool:
    """Whether a process runs, after a moment for the kernel to bury it."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return False
        time.sleep(0.05)
    return True
