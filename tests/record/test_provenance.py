"""When, where and with what a result was made."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import torch

from benchbd.attack.attack import Attack
from benchbd.plugin.provenance import sources
from benchbd.plugin.registry import load
from benchbd.record import provenance as noting
from benchbd.record.provenance import now, provenance


def test_now_is_utc_to_the_second() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", now())
    assert abs(datetime.fromisoformat(now()) - datetime.now(UTC)) < timedelta(minutes=1)


def test_libraries_sources_threads_and_command_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/bin/benchbd", "run", "--attack", "badnet"])
    plugin = load(Attack, "badnet")
    noted = provenance([sources(plugin)], started="2024-01-01T00:00:00+00:00")
    assert noted["libraries"]["torch"] == torch.__version__
    assert noted["argv"] == ["benchbd", "run", "--attack", "badnet"]
    assert noted["threads"] == torch.get_num_threads()
    (own,) = [name for name in noted["sources"] if name.endswith(".badnet")]
    assert re.fullmatch("[0-9a-f]{64}", noted["sources"][own])
    assert noted["started"] == "2024-01-01T00:00:00+00:00" <= noted["finished"]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout of one commit, from which the code seems to run."""
    file = tmp_path / "benchbd" / "record" / "provenance.py"
    file.parent.mkdir(parents=True)
    file.write_text("first = 1\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True)
    monkeypatch.setattr(noting, "__file__", str(file))
    noting._checkout.cache_clear()
    yield tmp_path
    noting._checkout.cache_clear()


@pytest.mark.parametrize("dirty", [False, True], ids=["as committed", "changed"])
def test_the_commit_is_named_and_whether_the_code_was_changed(checkout: Path, dirty: bool) -> None:
    if dirty:
        (checkout / "benchbd" / "record" / "provenance.py").write_text("second = 2\n")
    head = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=True,
    )
    noted = provenance([], started=now())
    assert (noted["commit"], noted["dirty"]) == (head.stdout.strip(), dirty)


def test_an_installed_wheel_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noting, "__file__", str(tmp_path / "benchbd" / "record" / "provenance.py"))
    noting._checkout.cache_clear()
    noted = provenance([], started=now())
    noting._checkout.cache_clear()
    assert (noted["commit"], noted["dirty"]) == ("", False)
