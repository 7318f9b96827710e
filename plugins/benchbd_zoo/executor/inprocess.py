"""Runs stages one after the other in this very process: for debugging and for tests."""

from __future__ import annotations

from pathlib import Path

from benchbd.api.executors import Ended, Executor, Limits, Session, run_stage


class InProcess(Executor):
    """A plugin that kills its process kills the matrix; limits of time and memory are not kept."""

    api = 1

    def open(self, limits: Limits) -> Session:
        return _Session()


class _Session(Session):
    capacity = 1

    def start(self, spec: Path) -> Ended:
        return run_stage(spec)

    def ended(self, handle: Ended) -> Ended | None:
        return handle

    def close(self) -> None:
        pass
