"""Runs stages on this machine, each in a process group of its own, several at a time.

A stage that outlives its time or outgrows its memory is told to end (TERM to the whole group),
given a few seconds, and then killed. Each stage gets its share of the cores that this process may
really use, and OpenMP's threads wait passively, since two busy-waiting trainings on the same cores
run many times slower than one.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchbd.api import param
from benchbd.api.executors import (
    Ended,
    Executor,
    Limits,
    Session,
    log_path,
    read_ended,
    usable_cores,
    visible_gpus,
)
from benchbd_zoo.executor.parts.fork_server import ForkServer, Worker

LOOK = 0.2
"""Seconds between two looks at the memory and the log of a stage."""

LOG_LIMIT = 16 * 2**20
LOG_TAIL = 4000


class Local(Executor):
    """The default. What a stage prints goes to a log in its folder."""

    api = 1

    gpus: str = param(
        "",
        "GPUs to spread stages over, by number, such as 0,1; empty: all, where the run is not on "
        "a CPU",
    )
    per_gpu: int = param(1, "stages at a time on each GPU", ge=1)
    reuse: bool = param(
        False, "let a worker process run many stages; faster for tiny cells, less apart"
    )
    grace: float = param(5.0, "seconds between telling a stage to end and killing it", ge=0)

    def open(self, limits: Limits) -> Session:
        slots, cores = self._slots(limits.device), usable_cores()
        workers = self.workers or len(slots) or max(1, cores // (limits.threads or cores))
        return _Session(workers, slots, limits, self.reuse, self.grace)

    def _slots(self, device: str | None) -> list[dict[str, str]]:
        """What a stage in each place on a GPU finds in its environment; no places where the run has
        no GPU.

        Without `gpus`, as many places as there are `workers` are spread over all GPUs.
        """
        named = [gpu.strip() for gpu in self.gpus.split(",") if gpu.strip()]
        views = [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in named or visible_gpus(device or "cpu")]
        if not named and device and device.startswith("cuda:"):
            views = [{}]
        count = len(views) * self.per_gpu if named or not self.workers else self.workers
        return [views[place % len(views)] for place in range(count)] if views else []


@dataclass(eq=False)
class _Stage:
    """A stage under way. started: when its process did; told, verdict: when and why it was told to
    end.
    """

    spec: Path
    worker: Worker
    slot: dict[str, str] | None
    started: float | None = None
    looked: float = 0.0
    told: float | None = None
    verdict: Ended | None = None


class _Session(Session):
    def __init__(
        self, workers: int, slots: list[dict[str, str]], limits: Limits, reuse: bool, grace: float
    ) -> None:
        self.workers, self.slots, self.limits, self.reuse, self.grace = (
            workers,
            slots,
            limits,
            reuse,
            grace,
        )
        self.places = len(slots)
        self.server: ForkServer | None = None
        self.idle: list[Worker] = []
        self.running: set[_Stage] = set()

    @property
    def capacity(self) -> int:
        return min(self.workers, self.places) if self.places else self.workers

    def start(self, spec: Path) -> _Stage:
        slot = self.slots.pop() if self.slots else None
        worker = self._worker(slot or {})
        worker.begin(spec)
        if not self.reuse:
            worker.dismiss()
        stage = _Stage(spec, worker, slot)
        self.running.add(stage)
        return stage

    def ended(self, handle: _Stage) -> Ended | None:
        runs = handle.worker.running()
        told = read_ended(handle.spec) if self.reuse or not runs else None
        if told is None and runs:
            self._watch(handle)
            return None
        self._finish(handle)
        if told is not None and told.code == "ok":
            return told
        return handle.verdict or told or _crash(handle)

    def close(self) -> None:
        workers = [stage.worker for stage in self.running] + self.idle
        for worker in workers:
            worker.signal(signal.SIGTERM)
        deadline = time.monotonic() + self.grace
        while (
            any(worker.running() for worker in workers if worker.pid)
            and time.monotonic() < deadline
        ):
            time.sleep(0.02)
        if self.server is not None:
            self.server.close()
        for worker in workers:
            worker.close()
        self.running.clear()
        self.idle.clear()

    def _worker(self, environment: dict[str, str]) -> Worker:
        for worker in self.idle:
            if worker.environment == environment and worker.running():
                self.idle.remove(worker)
                return worker
        return self._living_server().worker(environment)

    def _living_server(self) -> ForkServer:
        """Started when there is work for it, and again if it has died."""
        if self.server is not None and not self.server.alive:
            self.server.close()
            self.server = None
        if self.server is None:
            self.server = ForkServer(_environment(self.limits, self.workers))
        return self.server

    def _finish(self, stage: _Stage) -> None:
        """Give back what a stage has used. A worker that was told to end is not used again."""
        self.running.discard(stage)
        _bound(log_path(stage.spec))
        if stage.slot is not None:
            self.slots.append(stage.slot)
        if self.reuse and stage.verdict is None and stage.worker.running():
            self.idle.append(stage.worker)
        else:
            stage.worker.kill()
            stage.worker.close()

    def _watch(self, stage: _Stage) -> None:
        """Tell a stage that is over its limits to end; kill it when it does not."""
        now = time.monotonic()
        if stage.worker.pid is None or now - stage.looked < LOOK:
            return
        stage.looked = now
        stage.started = stage.started or now
        if stage.told is not None:
            if now - stage.told > self.grace:
                stage.worker.kill()
            return
        _bound(log_path(stage.spec))
        stage.verdict = self._over(stage, now - stage.started)
        if stage.verdict is not None:
            stage.told = now
            stage.worker.signal(signal.SIGTERM)

    def _over(self, stage: _Stage, lasted: float) -> Ended | None:
        seconds, memory = self.limits.seconds, self.limits.memory
        if seconds is not None and lasted > seconds:
            return Ended(
                code="timeout", reason=f"it ran past its limit of {seconds:g} s and was stopped"
            )
        if memory is not None and (used := stage.worker.memory()) > memory:
            return Ended(
                code="oom",
                reason=f"it used {used / 2**20:,.0f} MiB, more than its limit of "
                f"{memory / 2**20:,.0f} MiB",
            )
        return None


def _environment(limits: Limits, workers: int) -> dict[str, str]:
    threads = limits.threads or max(1, usable_cores() // workers)
    return os.environ | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}


def _bound(log: Path) -> None:
    """Keep the end of a log that has grown too large; its writers append and go on."""
    with suppress(OSError):
        if log.stat().st_size > LOG_LIMIT:
            tail = _tail(log)
            os.truncate(log, 0)
            with log.open("ab") as file:
                file.write(b"[what was printed before is cut off]\n" + tail)


def _tail(log: Path) -> bytes:
    with log.open("rb") as file:
        file.seek(-min(LOG_TAIL, file.seek(0, os.SEEK_END)), os.SEEK_END)
        return file.read()


def _crash(stage: _Stage) -> Ended:
    """What is known of a process that ended without a word."""
    code, log = stage.worker.exit_code, log_path(stage.spec)
    tail = _tail(log).decode(errors="replace") if log.exists() else ""
    if code is None:
        return Ended(
            code="crashed",
            killed=True,
            reason="its process was lost with the one that had started it",
            traceback=tail,
        )
    if code == -signal.SIGKILL:
        return Ended(
            code="oom",
            killed=True,
            reason="it was killed from outside, most likely for want of memory",
            traceback=tail,
        )
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return Ended(
        code="crashed", reason=f"its process ended with {how} and left no result", traceback=tail
    )
