"""The scheduler, which keeps an executor busy: it starts stages as soon as they become possible,
until none is left.

It knows nothing about attacks and defenses. A task tells it how to write the spec of a stage,
whether the stage is done already, whether another process works on it, and which tasks follow.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchbd.executing.executor import Session
from benchbd.executing.stage import Ended, remove_spec

SCHEDULER_POLL_SECONDS = 0.02
BUSY_PAUSE_SECONDS = 1.0


@dataclass(eq=False)
class Task:
    """One stage. `spec` and `finished` receive the number of retries; `finished` returns the tasks
    that have become possible.
    """

    label: str
    spec: Callable[[int], Path]
    done: Callable[[], bool]
    finished: Callable[[Ended, int], Iterable[Task]]
    busy: Callable[[], bool] = lambda: False
    retries: int = 0
    not_before: float = 0.0


@dataclass
class Tally:
    """The number of waiting stages and the labels of the running ones, for display."""

    waiting: int = 0
    running: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Running:
    task: Task
    spec: Path
    handle: Any


@dataclass(eq=False)
class Scheduler:
    """A scheduler runs tasks on a session. It calls `watch` whenever a stage has begun or ended."""

    session: Session
    watch: Callable[[Tally], None] = lambda _: None
    stop: Callable[[], bool] = lambda: False
    waiting: deque[Task] = field(default_factory=deque)
    running: list[_Running] = field(default_factory=list)

    def run(self, tasks: Iterable[Task]) -> None:
        """Run all tasks, and all that follow from them, until they have ended; or until `stop`
        returns True and the running ones have ended.
        """
        self.waiting.extend(tasks)
        while self.waiting or self.running:
            if self.stop():
                self.waiting.clear()
            if not (self._start_one() or self._collect()):
                time.sleep(SCHEDULER_POLL_SECONDS)

    def _start_one(self) -> bool:
        if len(self.running) >= self.session.capacity:
            return False
        task = self._next()
        if task is None:
            return False
        if task.done():
            self._end(task, Ended(code="ok"))
        elif task.busy():
            self._end(task, Ended(code="busy"))
        else:
            spec = task.spec(task.retries)
            self.running.append(_Running(task, spec, self.session.start(spec)))
            self._tell()
        return True

    def _next(self) -> Task | None:
        now = time.monotonic()
        for task in self.waiting:
            if task.not_before <= now:
                self.waiting.remove(task)
                return task
        return None

    def _collect(self) -> bool:
        progress = False
        for stage in list(self.running):
            ended = self.session.ended(stage.handle)
            if ended is None:
                continue
            progress = True
            self.running.remove(stage)
            remove_spec(stage.spec)
            self._end(stage.task, ended)
        return progress

    def _end(self, task: Task, ended: Ended) -> None:
        if ended.code == "busy":
            task.not_before = time.monotonic() + BUSY_PAUSE_SECONDS
            self.waiting.append(task)
        elif ended.killed and task.retries < self.session.retries:
            task.retries += 1
            self.waiting.appendleft(task)
        else:
            self.waiting.extendleft(reversed(list(task.finished(ended, task.retries))))
        self._tell()

    def _tell(self) -> None:
        self.watch(Tally(len(self.waiting), tuple(stage.task.label for stage in self.running)))
