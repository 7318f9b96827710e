"""Runs stages as jobs of a Slurm cluster, through submitit: arrays of stages that need the same.

What the matrix can start at one time is submitted at one time, one array for each kind of stage. A
job that is preempted, or whose time is over, is put into the queue again; a stage that was done by
then is done in a moment. This folder must be seen by all nodes under the same path.

submitit pickles the call of a job into `folder` and runs it from there; keep others from writing to
that folder.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchbd.api import ConfigError, param
from benchbd.api.executors import (
    Ended,
    Executor,
    Limits,
    Session,
    read_ended,
    usable_cores,
    write_ended,
)
from benchbd_zoo.executor.parts.guarded_stage import run_guarded

LOOK = 1.0
"""Seconds between two looks at a job."""

SIGNAL = 30
"""Seconds before the end of its time in which a job is told, so that it can be put into the queue
again.
"""

STARTING = 60
"""Seconds that a job may take until its stage begins."""


class Slurm(Executor):
    """For clusters with a queue. `cluster=local` runs the same jobs on this machine,
    for a trial.
    """

    api = 1

    folder: Path = param(
        Path("record/slurm"), "where scripts, calls and logs of jobs are kept; seen by all nodes"
    )
    cluster: Literal["slurm", "local", "debug"] = param(
        "slurm", "where jobs go; local, debug: this machine, this process"
    )
    partition: str | None = param(None, "partition of the jobs; unset: the cluster's own choice")
    account: str | None = param(None, "account that the jobs are charged to")
    qos: str | None = param(None, "quality of service of the jobs")
    cpus: int | None = param(None, "cores of a stage; unset: as many as it has threads", ge=1)
    gpus: int = param(0, "GPUs of a stage", ge=0)
    defense_gpus: int | None = param(
        None, "GPUs of a defense's stage; unset: as many as of an attack's", ge=0
    )
    memory: float = param(8.0, "GiB of memory of a job, unless there is a memory limit", gt=0)
    minutes: int = param(240, "minutes of a job, unless there is a time limit", ge=1)
    requeues: int = param(
        3, "times that a job is put into the queue again when its time was over", ge=0
    )

    def open(self, limits: Limits) -> Session:
        try:
            import submitit
        except ImportError:
            raise ConfigError(
                "the executor slurm needs the package submitit; pip install 'benchbd[slurm]'"
            ) from None
        try:
            queue = submitit.AutoExecutor(
                self.folder, cluster=self.cluster, slurm_max_num_timeout=self.requeues
            )
        except RuntimeError as error:
            raise ConfigError(f"the executor slurm finds no Slurm here: {error}") from None
        return _Session(queue, self, limits)

    def resources(self, stage: str, limits: Limits) -> dict[str, Any]:
        """What a job of a stage, `attack` or `defense`, asks for; in submitit's words."""
        defense_gpus = self.gpus if self.defense_gpus is None else self.defense_gpus
        return {
            "name": f"benchbd-{stage}",
            "timeout_min": whole_minutes(limits.seconds)
            if limits.seconds is not None
            else self.minutes,
            "cpus_per_task": self.cpus or limits.threads or 1,
            "gpus_per_node": self.gpus if stage == "attack" else defense_gpus,
            "mem_gb": math.ceil(limits.memory / 2**30 + 1)
            if limits.memory is not None
            else self.memory,
            "slurm_partition": self.partition,
            "slurm_account": self.account,
            "slurm_qos": self.qos,
            "slurm_signal_delay_s": SIGNAL,
            "slurm_array_parallelism": self.stages(limits),
        }

    def stages(self, limits: Limits) -> int:
        """Stages in the queue at a time; on this machine, where every job starts at once, as many
        as its cores carry.
        """
        cores = usable_cores()
        carried = max(1, cores // (limits.threads or self.cpus or cores))
        return self.workers or (1000 if self.cluster == "slurm" else carried)


def whole_minutes(seconds: float) -> int:
    """The minutes of a job whose stage may take that long: Slurm counts in minutes, and its start
    counts, too.
    """
    return math.ceil((seconds + STARTING + SIGNAL) / 60)


class Work:
    """The call that a job makes. A job that has to end before it is done makes the same call again
    in another one.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    def __call__(self, spec: str) -> None:
        path = Path(spec)
        write_ended(path, run_guarded(path, self.limits))

    def checkpoint(self, spec: str) -> Any:
        """Called by submitit when the job is about to be ended by the cluster."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, spec)


@dataclass(eq=False)
class _Stage:
    """A stage; `job` once it has been submitted."""

    spec: Path
    job: Any = None
    looked: float = 0.0


class _Session(Session):
    def __init__(self, queue: Any, settings: Slurm, limits: Limits) -> None:
        self.queue, self.settings, self.limits = queue, settings, limits
        self.work = Work(Limits(limits.seconds, limits.memory, limits.threads or settings.cpus))
        self.gathered: list[_Stage] = []
        self.running: set[_Stage] = set()

    @property
    def capacity(self) -> int:
        return self.settings.stages(self.limits)

    def start(self, spec: Path) -> _Stage:
        stage = _Stage(spec.absolute())
        self.gathered.append(stage)
        return stage

    def ended(self, handle: _Stage) -> Ended | None:
        self._submit()
        now = time.monotonic()
        if now - handle.looked < LOOK:
            return None
        handle.looked = now
        if not handle.job.done():
            return None
        self.running.discard(handle)
        return read_ended(handle.spec) or _unsaid(handle.job)

    def close(self) -> None:
        for stage in self.running:
            stage.job.cancel(check=False)
        self.running.clear()
        self.gathered.clear()

    def _submit(self) -> None:
        """What was gathered, an array for each kind of stage: stages of one kind need the same."""
        groups: dict[str, list[_Stage]] = defaultdict(list)
        for stage in self.gathered:
            groups[stage.spec.name.partition("-")[0]].append(stage)
        self.gathered.clear()
        for kind, stages in groups.items():
            self.queue.update_parameters(
                **{
                    k: v
                    for k, v in self.settings.resources(kind, self.limits).items()
                    if v is not None
                }
            )
            try:
                with self.queue.batch():
                    for stage in stages:
                        stage.job = self.queue.submit(self.work, str(stage.spec))
            except RuntimeError as error:
                raise ConfigError(
                    f"Slurm did not take {len(stages)} {kind} stages: "
                    f"{' '.join(str(error).split())[:500]}"
                ) from None
            self.running.update(stages)


def _unsaid(job: Any) -> Ended:
    """What is known of a job that ended without a word of its stage."""
    state = str(job.state).partition(" ")[0]
    tail, reason = (
        (job.stderr() or "")[-4000:],
        f"its job {job.job_id} ended as {state} and left no result",
    )
    if state == "TIMEOUT" or "timed-out too many times" in tail:
        return Ended(
            code="timeout",
            reason=f"its job {job.job_id} ran out of time as often as it may",
            traceback=tail,
        )
    if state == "OUT_OF_MEMORY":
        return Ended(code="oom", reason=reason, traceback=tail)
    return Ended(
        code="crashed",
        killed=state in ("NODE_FAIL", "PREEMPTED", "CANCELLED", "BOOT_FAIL", "INTERRUPTED"),
        reason=reason,
        traceback=tail,
    )
