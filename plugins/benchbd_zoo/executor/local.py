"""Runs stages on this machine, each in a process group of its own, several at a time.

A stage that outlives its time or outgrows its memory is told to end (TERM to the whole group), given a few
seconds, and then killed. Each stage gets its share of the cores that this process may really use, and OpenMP's
threads wait passively, since two busy-waiting trainings on the same cores run many times slower than one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from benchbd.api import Ended, Executor, Limits, Session, param, read_ended, usable_cores

GRACE = 5.0
LOG_KEPT = 4000


class Local(Executor):
    """The default. A stage's output goes to a log beside its spec."""

    api = 1

    gpus: str = param("", "GPUs to spread stages over, by number, such as 0,1; empty: the device of the run")
    per_gpu: int = param(1, "stages at a time on each GPU", ge=1)
    reuse: bool = param(False, "let a worker process run many stages; faster for tiny cells, less apart")

    def open(self, limits: Limits) -> Session:
        devices = [d for gpu in self.gpus.split(",") if gpu.strip() for d in [gpu.strip()] * self.per_gpu]
        cores = usable_cores()
        workers = self.workers or len(devices) or max(1, cores // (limits.threads or cores))
        return _Session(workers, devices, limits, self.reuse)


@dataclass(eq=False)
class _Stage:
    spec: Path
    process: _Worker
    started: float
    device: str | None
    told: float | None = None
    verdict: Ended | None = None


class _Worker:
    """A process that runs the stages whose specs are written to its input, one a line."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchbd.running.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )

    def begin(self, spec: Path) -> None:
        pipe: IO[bytes] = self.process.stdin  # type: ignore[assignment]
        pipe.write(f"{spec.absolute()}\n".encode())
        pipe.flush()

    def dismiss(self) -> None:
        """No further stage: the process ends when it has finished what it does."""
        if self.process.stdin:
            self.process.stdin.close()

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: int) -> None:
        """To the whole process group."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def memory(self) -> int:
        """Resident bytes of the process and all its children."""
        total = 0
        try:
            leader = psutil.Process(self.process.pid)
            family = [leader, *leader.children(recursive=True)]
        except psutil.Error:
            return 0
        for process in family:
            try:
                total += process.memory_info().rss
            except psutil.Error:
                continue
        return total


class _Session(Session):
    def __init__(self, workers: int, devices: list[str], limits: Limits, reuse: bool) -> None:
        self.workers, self.limits, self.reuse = workers, limits, reuse
        self.devices = devices
        self.idle: list[_Worker] = []
        self.running: set[_Stage] = set()

    @property
    def capacity(self) -> int:
        return self.workers

    def start(self, spec: Path) -> _Stage:
        device = self.devices.pop() if self.devices else None
        worker = self._worker(device)
        worker.begin(spec)
        if not self.reuse:
            worker.dismiss()
        stage = _Stage(spec, worker, time.monotonic(), device)
        self.running.add(stage)
        return stage

    def ended(self, handle: _Stage) -> Ended | None:
        told = read_ended(handle.spec)
        if handle.verdict is None and told is not None and (self.reuse or not handle.process.alive):
            return self._finish(handle, told)
        if not handle.process.alive:
            return self._finish(handle, handle.verdict or told or _crash(handle))
        self._watch(handle)
        return None

    def close(self) -> None:
        for worker in [stage.process for stage in self.running] + self.idle:
            worker.signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        for worker in [stage.process for stage in self.running] + self.idle:
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(max(0.0, deadline - time.monotonic()))
            worker.signal(signal.SIGKILL)
            worker.process.wait()
        self.running.clear()
        self.idle.clear()

    def _worker(self, device: str | None) -> _Worker:
        environment = _environment(self.limits, self.workers, device)
        for worker in self.idle:
            if worker.alive and worker.environment == environment:
                self.idle.remove(worker)
                return worker
        return _Worker(environment)

    def _finish(self, stage: _Stage, ended: Ended) -> Ended:
        self.running.discard(stage)
        if stage.device is not None:
            self.devices.append(stage.device)
        if self.reuse and stage.process.alive:
            self.idle.append(stage.process)
        else:
            stage.process.signal(signal.SIGKILL)  # children that the stage left behind
        return ended

    def _watch(self, stage: _Stage) -> None:
        """Tell a stage that is over its limits to end; kill it when it does not."""
        now = time.monotonic()
        if stage.told is not None:
            if now - stage.told > GRACE:
                stage.process.signal(signal.SIGKILL)
            return
        stage.verdict = self._over(stage, now)
        if stage.verdict is not None:
            stage.told = now
            stage.process.signal(signal.SIGTERM)

    def _over(self, stage: _Stage, now: float) -> Ended | None:
        seconds, memory = self.limits.seconds, self.limits.memory
        if seconds is not None and now - stage.started > seconds:
            return Ended(code="timeout", reason=f"it ran past its limit of {seconds:g} s and was stopped")
        if memory is not None and (used := stage.process.memory()) > memory:
            return Ended(code="oom", reason=f"it used {used / 2**20:,.0f} MiB, more than its limit of {memory / 2**20:,.0f} MiB")
        return None


def _environment(limits: Limits, workers: int, device: str | None) -> dict[str, str]:
    threads = limits.threads or max(1, usable_cores() // workers)
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    return environment | ({"CUDA_VISIBLE_DEVICES": device} if device is not None else {})


def _crash(stage: _Stage) -> Ended:
    """What is known of a process that ended without a word."""
    code = stage.process.process.returncode
    log = stage.spec.with_suffix(".log")
    tail = log.read_text(errors="replace")[-LOG_KEPT:] if log.exists() else ""
    if code == -signal.SIGKILL:
        return Ended(code="oom", killed=True, reason="it was killed from outside, most likely for want of memory", traceback=tail)
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return Ended(code="crashed", reason=f"its process ended with {how} and left no result", traceback=tail)
