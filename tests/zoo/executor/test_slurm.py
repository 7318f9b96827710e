"""The slurm executor: what it asks for, in which arrays, and whole matrices as jobs on this
machine.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchbd.errors import ConfigError
from benchbd.executing.executor import Limits, open_executor
from benchbd.matrices.matrix import Matrix
from support.equal_results import assert_same

pytest.importorskip(
    "submitit", reason="the package submitit is not installed; pip install 'benchbd[slurm]'"
)

from benchbd_zoo.executor import slurm
from benchbd_zoo.executor.slurm import Slurm, whole_minutes

SBATCH = """#!{python}
# A cluster of one node: numbers its jobs, keeps their scripts, runs the parts of an array side by
# side, then is done.
import os, pathlib, re, subprocess, sys
here = pathlib.Path(__file__).parent
script = pathlib.Path(sys.argv[1]).read_text()
number = len(list(here.glob("job*.sh"))) + 1
(here / f"job{{number}}.sh").write_text(script)
array = re.search(r"^#SBATCH --array=0-(\\d+)%", script, re.M)
(folder,) = re.findall(r"^#SBATCH --output=(.*)/", script, re.M)
for part in range(int(array[1]) + 1) if array else [None]:
    array = {{"SLURM_ARRAY_JOB_ID": str(number), "SLURM_ARRAY_TASK_ID": str(part)}}
    place = {{}} if part is None else array
    job = f"{{number}}{{'' if part is None else part}}"
    words = {{"SLURM_JOB_ID": job, "SLURM_JOB_NODELIST": "here", "FOLDER": folder}}
    nowhere = subprocess.DEVNULL
    environment = os.environ | words | place
    subprocess.Popen(["bash", sys.argv[1]], env=environment, stdout=nowhere, stderr=nowhere)
print("Submitted batch job", number)
"""

SRUN = """#!/bin/bash
# Runs the command after the options.
while [[ $1 == --* ]]; do [[ $1 == --output || $1 == --error ]] && shift; shift; done
exec "$@"
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The commands of a Slurm that runs everything here at once; scripts that were submitted lie
    beside them.
    """
    folder = tmp_path / "slurm-commands"
    folder.mkdir()
    for name, text in {
        "sbatch": SBATCH.format(python=sys.executable),
        "srun": SRUN,
        "sacct": "#!/bin/sh\n",
        "scancel": "#!/bin/sh\n",
    }.items():
        (folder / name).write_text(text)
        (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.fixture(scope="module")
def expected(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("inprocess")
    with open_executor("inprocess", {}, Limits()) as session:
        Matrix(_protocol(tiny), results=folder / "results", records=folder / "record").run(session)
    yield folder


@pytest.mark.slow
def test_a_matrix_in_the_queue(
    tiny: Any, matrix_in: Any, cluster: Path, expected: Path, tmp_path: Path
) -> None:
    with open_executor(
        "slurm", {"executor.folder": str(tmp_path / "jobs")}, Limits(threads=1)
    ) as session:
        matrix_in(_protocol(tiny)).run(session)
    assert_same(expected, tmp_path)
    attack, defenses = (path.read_text() for path in sorted(cluster.glob("job*.sh")))
    assert "--array=" not in attack and "--array=0-1%" in defenses, (
        "the defenses that an attack makes possible go together"
    )


@pytest.mark.slow
def test_what_is_started_together_is_an_array_for_each_kind_of_stage(
    cluster: Path, tmp_path: Path
) -> None:
    """In a queue that runs nothing."""
    sbatch = cluster / "sbatch"
    sbatch.write_text(sbatch.read_text().replace("for part in", "for part in [] and"))
    settings = {
        "folder": str(tmp_path / "jobs"),
        "partition": "short",
        "gpus": "1",
        "defense_gpus": "0",
    }
    limits = Limits(seconds=600, memory=2**30, threads=2)
    with open_executor(
        "slurm", {f"executor.{name}": text for name, text in settings.items()}, limits
    ) as session:
        stages = [
            session.start(tmp_path / f"{kind}-{n}.spec.json")
            for n in range(3)
            for kind in ("attack", "defense")
        ]
        session.start(tmp_path / "defense-3.spec.json")
        assert session.ended(stages[0]) is None
        attacks, defenses = sorted(
            (path.read_text() for path in cluster.glob("job*.sh")),
            key=lambda text: "-defense" in text,
        )
    assert (
        "--job-name=benchbd-attack" in attacks
        and "--array=0-2%" in attacks
        and "--gpus-per-node=1" in attacks
    )
    assert (
        "--job-name=benchbd-defense" in defenses
        and "--array=0-3%" in defenses
        and "--gpus-per-node=0" in defenses
    )
    for text in (attacks, defenses):
        assert all(
            f"--{word}\n" in text
            for word in ("time=12", "partition=short", "mem=2GB", "cpus-per-task=2")
        )


@pytest.mark.slow
def test_jobs_on_this_machine(tiny: Any, matrix_in: Any, tmp_path: Path, notes: Any) -> None:
    """submitit's local executor: real jobs, of which one is preempted while it works."""
    matrix = matrix_in(
        tiny(attacks=["corner"], defenses=[{"name": "jitter", "params": {"seconds": 1.5}}])
    )
    settings = {"executor.folder": str(tmp_path / "jobs"), "executor.cluster": "local"}
    preempted: list[Any] = []
    with open_executor("slurm", settings, Limits(threads=1)) as session:
        ended = session.ended

        def preempt(handle: Any) -> Any:
            at_work = [int(words[-1]) for words in notes() if words[0] == "jitter"]
            if at_work and not preempted and "jitter" in str(handle.spec):
                preempted.append(handle.job)
                _job_of(at_work[0]).send_signal(signal.SIGUSR2)
            return ended(handle)

        session.ended = preempt  # type: ignore[method-assign]
        matrix.run(session)
    assert [cell.status.code for cell in matrix.cells()] == ["ok"]
    assert [words[0] for words in notes()] == ["corner", "jitter", "jitter"]
    assert "Requeued job" in preempted[0].stdout()


def _job_of(pid: int) -> psutil.Process:
    """The process of submitit that a stage runs under: the one that a cluster sends its
    signals to.
    """
    return next(p for p in psutil.Process(pid).parents() if "submitit.core._submit" in p.cmdline())


@pytest.mark.parametrize(("seconds", "minutes"), [(1, 2), (30, 2), (31, 3), (600, 12), (3600, 62)])
def test_time_limits_are_whole_minutes_with_room_to_start(seconds: float, minutes: int) -> None:
    assert whole_minutes(seconds) == minutes


def test_without_limits_a_job_gets_what_is_set() -> None:
    asked = Slurm(minutes=90, memory=4, gpus=2).resources("defense", Limits())
    assert (
        asked["timeout_min"],
        asked["mem_gb"],
        asked["gpus_per_node"],
        asked["cpus_per_task"],
    ) == (90, 4, 2, 1)


@pytest.mark.parametrize(
    ("settings", "threads", "stages"),
    [
        ({"cluster": "local"}, 1, 8),
        ({"cluster": "local"}, 3, 2),
        ({"cluster": "local"}, 16, 1),
        ({"cluster": "local"}, None, 1),
        ({"cluster": "local", "cpus": "4"}, None, 2),
        ({"cluster": "local", "workers": "20"}, 3, 20),
        ({"cluster": "debug"}, 4, 2),
        ({}, 3, 1000),
    ],
)
def test_this_machine_runs_as_many_as_its_eight_cores_carry(
    settings: dict[str, str],
    threads: int | None,
    stages: int,
    cluster: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """submitit itself would start all of them at once."""
    monkeypatch.setattr(slurm, "usable_cores", lambda: 8)
    texts = {
        f"executor.{name}": text
        for name, text in ({"folder": str(tmp_path / "jobs")} | settings).items()
    }
    with open_executor("slurm", texts, Limits(threads=threads)) as session:
        assert session.capacity == stages


def test_no_slurm_is_said_before_any_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(ConfigError, match="finds no Slurm here"),
        open_executor("slurm", {}, Limits()),
    ):
        pass


def test_a_queue_that_takes_nothing_is_said(cluster: Path, tmp_path: Path) -> None:
    (cluster / "sbatch").write_text(
        "#!/bin/sh\necho sbatch: error: invalid partition specified: nowhere >&2\nexit 1\n"
    )
    with open_executor("slurm", {"executor.folder": str(tmp_path / "jobs")}, Limits()) as session:
        stage = session.start(tmp_path / "attack-some.spec.json")
        with pytest.raises(
            ConfigError, match=r"did not take 1 attack stages: .*invalid partition specified"
        ):
            session.ended(stage)


def _protocol(tiny: Any) -> Any:
    return tiny(attacks=["corner"], defenses=["jitter", "retrains"])
