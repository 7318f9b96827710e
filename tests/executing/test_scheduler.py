"""The scheduler: what runs, in which order, and what is tried again; stages are only told of."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from benchbd.executing import scheduler as schedulers
from benchbd.executing.executor import Session
from benchbd.executing.scheduler import Scheduler, Task
from benchbd.executing.stage import Ended

OK, FAILED, BUSY, KILLED = (
    Ended(code="ok"),
    Ended(code="failed"),
    Ended(code="busy"),
    Ended(code="oom", killed=True),
)


class Told(Session):
    """Stages that end at the second look, each time as told; remembers what was started and how
    many ran at once.
    """

    def __init__(self, capacity: int, ends: dict[str, list[Ended]]) -> None:
        self.slots, self.ends = capacity, ends
        self.started: list[str] = []
        self.running: dict[str, int] = {}
        self.most = 0

    @property
    def capacity(self) -> int:
        return self.slots

    def start(self, spec: Path) -> str:
        self.started.append(spec.name)
        self.running[spec.name] = 0
        self.most = max(self.most, len(self.running))
        return spec.name

    def ended(self, handle: str) -> Ended | None:
        self.running[handle] += 1
        if self.running[handle] < 2:
            return None
        del self.running[handle]
        return self.ends[handle].pop(0) if self.ends.get(handle) else OK

    def close(self) -> None:
        pass


class Plan:
    """Tasks by name, those that follow them, and how they ended."""

    def __init__(
        self, folder: Path, follow: dict[str, list[str]] | None = None, **more: Any
    ) -> None:
        self.folder, self.follow, self.more = folder, follow or {}, more
        self.ended: list[tuple[str, str, int]] = []

    def task(self, name: str) -> Task:
        def finished(how: Ended, retries: int) -> Iterable[Task]:
            self.ended.append((name, how.code, retries))
            return [self.task(n) for n in self.follow.get(name, [])] if how.code == "ok" else []

        more = {key: lambda names=names: name in names for key, names in self.more.items()}
        return Task(
            name,
            lambda retries: self.folder / name,
            more.pop("done", lambda: False),
            finished,
            **more,
        )


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedulers, "SCHEDULER_POLL_SECONDS", 0.0)
    monkeypatch.setattr(schedulers, "BUSY_PAUSE_SECONDS", 0.01)


def test_what_follows_comes_before_what_waits(tmp_path: Path) -> None:
    plan, session = Plan(tmp_path, {"a": ["a1", "a2"], "b": ["b1"]}), Told(1, {})
    Scheduler(session).run([plan.task("a"), plan.task("b")])
    assert session.started == ["a", "a1", "a2", "b", "b1"]


@pytest.mark.parametrize("capacity", [1, 2, 3])
def test_no_more_run_at_once_than_there_is_room_for(tmp_path: Path, capacity: int) -> None:
    plan, session = Plan(tmp_path), Told(capacity, {})
    Scheduler(session).run([plan.task(str(n)) for n in range(7)])
    assert session.most == capacity and sorted(session.started) == list("0123456")


def test_a_failure_has_no_followers_and_stops_nothing_else(tmp_path: Path) -> None:
    plan = Plan(tmp_path, {"a": ["a1"], "b": ["b1"]})
    Scheduler(Told(2, {"a": [FAILED]})).run([plan.task("a"), plan.task("b")])
    assert sorted(plan.ended) == [("a", "failed", 0), ("b", "ok", 0), ("b1", "ok", 0)]


def test_what_is_done_is_not_started(tmp_path: Path) -> None:
    plan, session = Plan(tmp_path, {"a": ["a1"]}, done={"a"}), Told(1, {})
    Scheduler(session).run([plan.task("a")])
    assert session.started == ["a1"] and plan.ended == [("a", "ok", 0), ("a1", "ok", 0)]


def test_killed_once_is_tried_again_killed_twice_is_a_row(tmp_path: Path) -> None:
    plan, session = Plan(tmp_path), Told(1, {"a": [KILLED], "b": [KILLED, KILLED]})
    Scheduler(session).run([plan.task("a"), plan.task("b")])
    assert plan.ended == [("a", "ok", 1), ("b", "oom", 1)]
    assert session.started == ["a", "a", "b", "b"]


def test_work_of_another_process_is_waited_for_while_the_rest_goes_on(tmp_path: Path) -> None:
    others = {"a"}
    plan, session = Plan(tmp_path, busy=others), Told(1, {"b": [BUSY]})
    Scheduler(session, lambda _: others.clear() if "c" in session.started else None).run(
        [plan.task(n) for n in "abc"]
    )
    assert session.started[:2] == ["b", "c"] and sorted(session.started[2:]) == ["a", "b"]
    assert sorted(plan.ended) == [("a", "ok", 0), ("b", "ok", 0), ("c", "ok", 0)]


def test_told_to_stop_it_lets_end_what_runs(tmp_path: Path) -> None:
    plan, session = Plan(tmp_path), Told(2, {"a": [FAILED]})
    Scheduler(session, stop=lambda: any(code == "failed" for _, code, _ in plan.ended)).run(
        [plan.task(n) for n in "abcd"]
    )
    assert plan.ended == [("a", "failed", 0), ("b", "ok", 0)]
