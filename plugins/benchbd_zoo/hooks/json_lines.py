"""A log for programs: one JSON object per event, one event per line.

BENCHBD_LOG=events.jsonl benchbd run --attack badnet --defense anp
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from benchbd.api import hookimpl


class JsonLines:
    """Appends to the file; each line is whole when it is written. `time` is seconds since 1970."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path

    @hookimpl
    def cell_started(self, attack: str, defense: str, seed: int) -> None:
        self._write("cell_started", attack=attack, defense=defense, seed=seed)

    @hookimpl
    def stage_progress(self, what: str, done: int, total: int) -> None:
        self._write("stage_progress", what=what, done=done, total=total)

    @hookimpl
    def cell_finished(self, cell: dict[str, Any]) -> None:
        self._write("cell_finished", cell=cell)

    @hookimpl
    def file_written(self, path: str) -> None:
        self._write("file_written", path=path)

    def _write(self, event: str, **facts: Any) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"event": event, "time": time.time(), **facts}) + "\n")


def observer() -> JsonLines | None:
    """Watches when `BENCHBD_LOG` names a file."""
    path = os.environ.get("BENCHBD_LOG")
    return JsonLines(Path(path).absolute()) if path else None
