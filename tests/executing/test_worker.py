"""A worker runs one stage after the other and keeps what each prints in the log of its work."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchbd.executing import stage
from benchbd.executing.worker import serve


@pytest.fixture
def own_outputs() -> Iterator[None]:
    """What a worker does to the outputs of its process is undone."""
    kept = [os.dup(number) for number in (1, 2)]
    yield
    sys.stdout.flush()
    sys.stderr.flush()
    for number, copy in zip((1, 2), kept, strict=True):
        os.dup2(copy, number)
        os.close(copy)


def test_each_stage_writes_to_the_log_of_its_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_outputs: None
) -> None:
    ran: list[Path] = []

    def run(spec: Path) -> None:
        ran.append(spec)
        os.write(1, f"out of {spec.name}\n".encode())
        os.write(2, f"err of {spec.name}\n".encode())

    monkeypatch.setattr(stage, "run_stage", run)
    monkeypatch.setattr(stage, "log_path", lambda spec: spec.with_suffix(".log"))
    (tmp_path / "a.log").write_text("before\n")
    serve([f"{tmp_path}/a.json\n", f"{tmp_path}/b.json\n", f"{tmp_path}/a.json\n"])
    assert [path.name for path in ran] == ["a.json", "b.json", "a.json"]
    told = "out of a.json\nerr of a.json\n"
    assert (tmp_path / "a.log").read_text() == "before\n" + told + told
    assert (tmp_path / "b.log").read_text() == told.replace("a.json", "b.json")
