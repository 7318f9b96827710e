"""The slurm executor: what it asks for, in which arrays, and whole matrices as jobs on this machine."""

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
from equal_results import assert_same

from benchbd.errors import ConfigError
from benchbd.running.executor import Limits, open_executor
from benchbd.running.matrix import Matrix

pytest.importorskip("submitit", reason="the package submitit is not installed; pip install 'benchbd[slurm]'")

from benchbd_zoo.executor.slurm import Slurm, whole_minutes

SBATCH = """#!{python}
# A cluster of one node: numbers its jobs, keeps their scripts, runs the parts of an array side by side, then is done.
import os, pathlib, re, subprocess, sys
here = pathlib.Path(__file__).parent
script = pathlib.Path(sys.argv[1]).read_text()
number = len(list(here.glob("job*.sh"))) + 1
(here / f"job{{number}}.sh").write_text(script)
array = re.search(r"^#SBATCH --array=0-(\\d+)%", script, re.M)
(folder,) = re.findall(r"^#SBATCH --output=(.*)/", script, re.M)
for part in range(int(array[1]) + 1) if array else [None]:
    place = {{}} if part is None else {{"SLURM_ARRAY_JOB_ID": str(number), "SLURM_ARRAY_TASK_ID": str(part)}}
    words = {{"SLURM_JOB_ID": f"{{number}}{{'' if part is None else part}}", "SLURM_JOB_NODELIST": "here", "FOLDER": folder}}
    subprocess.Popen(["bash", sys.argv[1]], env=os.environ | words | place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print("Submitted batch job", number)
"""

SRUN = """#!/bin/bash
# Runs the command after the options.
while [[ $1 == --* ]]; do [[ $1 == --output || $1 == --error ]] && shift; shift; done
exec "$@"
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The commands of a Slurm that runs everything here at once; scripts that were submitted lie beside them."""
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


def test_arrays_of_stages_that_need_the_same(tiny: Any, matrix_in: Any, cluster: Path, expected: Path, tmp_path: Path) -> None:
    settings = {
        "executor.folder": str(tmp_path / "jobs"),
        "executor.partition": "short",
        "executor.gpus": "1",
        "executor.defense_gpus": "0",
    }
    with open_executor("slurm", settings, Limits(seconds=600, memory=2**30, threads=1)) as session:
        matrix_in(_protocol(tiny)).run(session)
    assert_same(expected, tmp_path)
    scripts = [path.read_text() for path in sorted(cluster.glob("job*.sh"))]
    attacks = [text for text in scripts if "--job-name=benchbd-attack" in text]
    assert len(attacks) == 1 and "--array=0-1%" in attacks[0] and "--gpus-per-node=1" in attacks[0]
    defenses = [text for text in scripts if "--job-name=benchbd-defense" in text]
    assert len(attacks) + len(defenses) == len(scripts) and any("--array=" in text for text in defenses)
    for text in scripts:
        assert "--time=12" in text and "--partition=short" in text and "--mem=2GB" in text and "--cpus-per-task=1" in text
    assert all("--gpus-per-node=0" in text for text in defenses)


def test_jobs_on_this_machine(tiny: Any, matrix_in: Any, tmp_path: Path, notes: Any) -> None:
    """submitit's local executor: real jobs, of which one is preempted while it works and one has a plugin that exits."""
    matrix = matrix_in(tiny(attacks=["corner"], defenses=[{"name": "jitter", "params": {"seconds": 1.5}}, "exits"]))
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
    told = {cell.cell.defense.name: cell.status for cell in matrix.cells()}
    assert told["jitter"].code == "ok" and [words[0] for words in notes()].count("jitter") == 2
    assert told["exits"].code == "crashed" and "exit code 3" in told["exits"].reason
    assert "Requeued job" in preempted[0].stdout()


def _job_of(pid: int) -> psutil.Process:
    """The process of submitit that a stage runs under: the one that a cluster sends its signals to."""
    return next(p for p in psutil.Process(pid).parents() if "submitit.core._submit" in p.cmdline())


@pytest.mark.parametrize(("seconds", "minutes"), [(1, 2), (30, 2), (31, 3), (600, 12), (3600, 62)])
def test_time_limits_are_whole_minutes_with_room_to_start(seconds: float, minutes: int) -> None:
    assert whole_minutes(seconds) == minutes


def test_without_limits_a_job_gets_what_is_set() -> None:
    asked = Slurm(minutes=90, memory=4, gpus=2).resources("defense", Limits())
    assert (asked["timeout_min"], asked["mem_gb"], asked["gpus_per_node"], asked["cpus_per_task"]) == (90, 4, 2, 1)


def test_no_slurm_is_said_before_any_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="finds no Slurm here"), open_executor("slurm", {}, Limits()):
        pass


def _protocol(tiny: Any) -> Any:
    return tiny(attacks=["corner"], defenses=["jitter", "retrains"], seeds=[0, 1])
