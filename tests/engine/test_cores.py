"""Cores, by affinity and by the quota of a container."""

from __future__ import annotations

import builtins
import io
import os
from typing import Any

import pytest

from benchbd.engine.cores import usable_cores


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000", 8),
        ("250000 100000", 2),
        ("50000 100000", 1),
        ("9900000 100000", 8),
        ("nonsense", 8),
    ],
)
def test_cores_respect_the_quota_of_the_cgroup(
    monkeypatch: pytest.MonkeyPatch, quota: str, cores: int
) -> None:
    def opened(path: str, *rest: Any) -> io.StringIO:
        assert path == "/sys/fs/cgroup/cpu.max"
        return io.StringIO(quota)

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(builtins, "open", opened)
    assert usable_cores() == cores
