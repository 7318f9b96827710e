"""Entry points: which are declared, which are switched off, and how long an import may take."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from benchbd.plugin import points as looking
from benchbd.plugin.points import (
    DeclaredPoint,
    ImportTimeout,
    import_seconds,
    known_names,
    limit_time,
    points,
)

BUNDLED = DeclaredPoint("benchbd.defense", "ft", "zoo.ft:FT", "benchbd", "1.0")
GUEST = DeclaredPoint("benchbd.defense", "guest", "theirs:Guest", "dist-guest", "2.0")
OTHER = DeclaredPoint("benchbd.attack", "ft", "theirs:FT", "dist-guest", "2.0")


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Three entry points of two distributions, and nothing switched off."""
    for name in ("BENCHBD_NO_PLUGIN", "BENCHBD_DISABLE_PLUGINS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(looking, "_all", lambda: iter([BUNDLED, GUEST, OTHER]))
    points.cache_clear()
    yield
    points.cache_clear()


def found() -> set[DeclaredPoint]:
    points.cache_clear()
    return {point for listed in points().values() for point in listed}


def test_they_are_listed_by_group(declared: None) -> None:
    assert points() == {"benchbd.defense": (BUNDLED, GUEST), "benchbd.attack": (OTHER,)}


@pytest.mark.parametrize(
    ("unwanted", "left"),
    [
        ("", {BUNDLED, GUEST, OTHER}),
        ("ft", {GUEST}),
        ("attack.ft", {BUNDLED, GUEST}),
        ("dist-guest", {BUNDLED}),
        ("dist-guest/ft", {BUNDLED, GUEST}),
        ("guest,defense.ft", {OTHER}),
        ("nobody", {BUNDLED, GUEST, OTHER}),
    ],
)
def test_what_is_named_is_left_out(
    declared: None, monkeypatch: pytest.MonkeyPatch, unwanted: str, left: set[DeclaredPoint]
) -> None:
    monkeypatch.setenv("BENCHBD_NO_PLUGIN", unwanted)
    assert found() == left


def test_the_bundled_ones_may_stand_alone(declared: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHBD_DISABLE_PLUGINS", "1")
    assert found() == {BUNDLED}
    assert "dist-guest/guest" in known_names(), "what is switched off has its names still"


def test_what_takes_too_long_is_stopped_whatever_it_catches() -> None:
    def stubborn() -> None:
        while True:
            try:
                time.sleep(10)
            except Exception:
                continue

    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(ImportTimeout, match=r"did not end within 0\.05 s"), limit_time(0.05):
        stubborn()
    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_off_the_main_thread_nothing_is_stopped() -> None:
    ended: list[bool] = []

    def work() -> None:
        with limit_time(0.001):
            time.sleep(0.02)
        ended.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended == [True]


@pytest.mark.parametrize(("said", "seconds"), [(None, 60), ("12.5", 12.5), ("soon", 60)])
def test_how_long_an_import_may_take(
    monkeypatch: pytest.MonkeyPatch, said: str | None, seconds: float
) -> None:
    monkeypatch.delenv("BENCHBD_IMPORT_SECONDS", raising=False)
    if said is not None:
        monkeypatch.setenv("BENCHBD_IMPORT_SECONDS", said)
    assert import_seconds() == seconds
