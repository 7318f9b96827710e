"""The ray executor on a cluster of two nodes of its own, one of which is lost in the middle of a
matrix.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchbd.errors import ConfigError
from benchbd.executing.executor import Limits, Session, open_executor
from benchbd.matrices.matrix import Matrix
from benchbd.matrices.plan import Selection
from benchbd.running.protocol import Protocol
from support.equal_results import assert_same

pytest.importorskip("ray", reason="the package ray is not installed; pip install 'benchbd[ray]'")

from benchbd_zoo.executor import ray as executor

pytestmark = pytest.mark.slow

# A stage on the lost node must still be at work when the processes there are gone, on a busy
# machine too.
PARTS = {
    "attacks": ["corner"],
    "defenses": [{"name": "jitter", "params": {"seconds": 3}}, "retrains"],
    "seeds": [0, 1],
}
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}


@pytest.fixture(scope="module")
def protocol(tiny: Any) -> Protocol:
    return tiny(**PARTS)


@pytest.fixture(scope="module")
def expected(protocol: Protocol, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run in this very process."""
    folder = tmp_path_factory.mktemp("inprocess")
    with open_executor("inprocess", {}, Limits()) as session:
        _matrix(protocol, folder).run(session)
    return folder


@pytest.fixture(scope="module")
def cluster(plugins: Path) -> Iterator[Any]:
    """Two nodes of one CPU each. What they write lies in a short place, since names of sockets may
    not be long.
    """
    os.environ.update(executor.UNPATCHED)
    from ray.cluster_utils import Cluster

    folder = tempfile.mkdtemp(prefix="ray")
    Path(folder, "ray").mkdir()  # where the address is noted
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        environment.setenv("RAY_TMPDIR", folder)
        before = set(psutil.Process().children(recursive=True))
        nodes = Cluster(initialize_head=True, head_node_args=NODE | {"temp_dir": folder})
        nodes.add_node(**NODE, num_gpus=1)  # a number to Ray; no GPU need be there
        yield nodes
        started = set(psutil.Process().children(recursive=True)) - before
        nodes.shutdown()
        _, alive = psutil.wait_procs(started, timeout=10)
        shutil.rmtree(folder, ignore_errors=True)
        assert not alive


def test_no_folder_is_shared_and_all_comes_home(
    cluster: Any, protocol: Protocol, expected: Path, tmp_path: Path
) -> None:
    with _session(cluster, shared="false") as session:
        assert session.capacity == 2
        _matrix(protocol, tmp_path).run(session)
    assert_same(expected, tmp_path)
    assert not list(tmp_path.rglob("*.spec.json")) and not list(tmp_path.rglob(".claim"))
    assert len(list(tmp_path.glob("record/*/attack_result.pt"))) == 2 and list(
        tmp_path.glob("record/*/defense/*/defense.log")
    )


def test_what_a_cluster_of_its_own_cannot_have_is_said_at_once(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That cluster is a third one, which this process starts and ends; it stays where `cluster` has
    put its files.
    """
    import ray

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(
        ConfigError, match=r"no node with the GPU .* asks for 1 CPU, 64 GPU .* \(executor\.gpus\)"
    ):
        executor.Ray(gpus=64).open(Limits(threads=1))
    assert not ray.is_initialized()


@pytest.fixture(scope="module")
def joined(cluster: Any) -> Iterator[Any]:
    """The cluster, joined once: what its processes have imported serves several tests."""
    import ray

    ray.init(address=cluster.address, log_to_driver=False, configure_logging=False)
    yield cluster
    ray.shutdown()


def test_shares_of_a_gpu_are_slots(joined: Any, protocol: Protocol, tmp_path: Path) -> None:
    """Before its node is lost."""
    with _session(joined, gpus="0.25", cpus="0.25") as session:
        assert session.capacity == 4
    with _session(joined, gpus="0.25", cpus="0.5") as session:
        assert session.capacity == 2, "the CPU of the node without a GPU is of no use"
    with _session(joined, gpus="0.25", cpus="0.2", workers="1") as session:
        assert session.capacity == 1
        matrix = Matrix(
            protocol,
            Selection(defenses=["retrains"], seeds=[1]),
            results=tmp_path / "results",
            records=tmp_path / "record",
        )
        matrix.run(session)
    assert [cell.status.code for cell in matrix.cells()] == ["ok"]


def test_print_is_left_alone(joined: Any) -> None:
    """Ray would put a function of its own there, which stays for the rest of the process."""
    assert print.__module__ == "builtins"


def test_a_node_is_lost_in_the_middle(
    joined: Any, protocol: Protocol, expected: Path, tmp_path: Path, notes: Any
) -> None:
    (second,) = [node for node in joined.list_all_nodes() if not node.head]
    raylet = second.all_processes["raylet"][0].process.pid
    lost: list[int] = []

    def lose_the_second(_: object) -> None:
        there = [
            int(words[-1])
            for words in notes()
            if words[0] == "jitter" and _descends(int(words[-1]), raylet)
        ]
        if there and not lost:
            lost.extend(there)
            joined.remove_node(second, allow_graceful=False)

    with _session(joined) as session:
        _run_watched(_matrix(protocol, tmp_path), session, lose_the_second)
    assert lost
    matrix = _matrix(protocol, tmp_path)
    assert_same(expected, tmp_path)
    assert Counter(cell.provenance["retries"] for cell in matrix.cells())[1] == 1, (
        "what ran there was run again, and nothing else"
    )
    assert not [
        pid
        for pid in lost
        if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    ]


def test_a_crash_is_a_row_and_costs_no_retry(joined: Any, tiny: Any, matrix_in: Any) -> None:
    matrix = matrix_in(tiny(attacks=["corner"], defenses=["exits", "segfaults"]))
    with _session(joined) as session:
        matrix.run(session)
    told = {cell.cell.defense.name: cell for cell in matrix.cells()}
    for name, words in (("exits", "exit code 3"), ("segfaults", "SIGSEGV")):
        assert told[name].status.code == "crashed" and words in told[name].status.reason
        assert told[name].provenance["retries"] == 0


@pytest.mark.parametrize(
    ("settings", "memory", "words"),
    [
        (
            {"gpus": "2"},
            None,
            r"no node with the GPU of a stage.* asks for 1 CPU, 2 GPU on one node.* at most 1 "
            r"CPU, [01] GPU",
        ),
        (
            {"cpus": "64", "workers": "3"},
            None,
            r"no node with the CPU of a stage.* at most 1 CPU; ask for less \(executor\.cpus\)",
        ),
        ({}, 2**50, r"no node with the memory .*1048576\.00 GiB of memory .*\(the memory limit\)"),
    ],
)
def test_a_stage_for_which_no_node_has_room_does_not_wait_for_ever(
    settings: dict[str, str],
    memory: int | None,
    words: str,
    joined: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(executor, "JOINING", 1.5)
    with _session(joined, memory, **settings) as session:
        assert session.capacity, "what has no room yet is put into Ray's queue"
        stage = session.start(tmp_path / "attack-some.spec.json")
        with pytest.raises(ConfigError, match=words):
            for _ in range(100):
                assert session.ended(stage) is None
                time.sleep(0.1)


def test_a_cluster_may_grow_until_it_has_room_and_may_lose_it(
    joined: Any, protocol: Protocol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[Any] = []

    def grow(_: object) -> None:
        if not added:
            added.append(joined.add_node(**NODE, num_gpus=2))

    places = {"results": tmp_path / "results", "records": tmp_path / "record"}
    matrix = Matrix(protocol, Selection(defenses=["retrains"], seeds=[1]), **places)
    with _session(joined, gpus="2") as session:
        _run_watched(matrix, session, grow)
    assert [cell.status.code for cell in matrix.cells()] == ["ok"]
    monkeypatch.setattr(executor, "JOINING", 1.5)
    with _session(joined, gpus="2") as session:
        assert session.capacity == 1
        joined.remove_node(added[0], allow_graceful=False)
        with pytest.raises(ConfigError, match="no node with the GPU"):
            Matrix(protocol, **places).run(session)


def _matrix(protocol: Protocol, folder: Path) -> Matrix:
    return Matrix(protocol, results=folder / "results", records=folder / "record")


def _session(cluster: Any, memory: int | None = None, **settings: str) -> Any:
    texts = {f"executor.{name}": text for name, text in settings.items()}
    return open_executor(
        "ray", {"executor.address": cluster.address} | texts, Limits(memory=memory, threads=1)
    )


def _descends(pid: int, ancestor: int) -> bool:
    try:
        return ancestor in [process.pid for process in psutil.Process(pid).parents()]
    except psutil.NoSuchProcess:
        return False


def _run_watched(matrix: Matrix, session: Session, look: Callable[[object], None]) -> None:
    """Run a matrix and `look` again and again while it runs."""
    ended, last = session.ended, [time.monotonic()]

    def watched(handle: Any) -> Any:
        if time.monotonic() - last[0] > 0.1:
            last[0] = time.monotonic()
            look(handle)
        return ended(handle)

    session.ended = watched  # type: ignore[method-assign]
    matrix.run(session)
