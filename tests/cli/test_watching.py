"""What a person sees of a run whose output goes to a file."""

from __future__ import annotations

import pytest

from benchbd.cli.watching import PROGRESS_PAUSE_SECONDS, ProgressView


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What time it is, to be set."""
    now = [0.0]
    monkeypatch.setattr("benchbd.cli.watching.time.monotonic", lambda: now[0])
    return now


def test_progress_is_a_line_now_and_then(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with ProgressView() as seen:
        for second in range(100):
            clock[0] = second
            seen.stage_progress("training on badnet", second, 100)
        seen.cell_started("badnet", "anp", 0)
        clock[0] += PROGRESS_PAUSE_SECONDS
        seen.stage_progress("anp", 7, 0)
    lines = [
        "training on badnet: 30/100",
        "training on badnet: 60/100",
        "training on badnet: 90/100",
    ]
    assert capsys.readouterr().err.splitlines() == [*lines, "badnet: anp, seed 0", "anp: 7"]


def test_of_a_quiet_run_nothing_is_seen_and_of_a_verbose_one_every_step(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    for silent, lines in ((True, []), (False, ["begin", "tuning: 0/2", "tuning: 1/2"])):
        with ProgressView(silent=silent, verbose=not silent) as seen:
            seen.say("begin")
            seen.stage_progress("tuning", 0, 2)
            seen.stage_progress("tuning", 1, 2)
        assert capsys.readouterr().err.splitlines() == lines


def test_what_is_said_always_is_seen_above_the_bars_and_not_in_a_quiet_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    for silent, lines in ((False, ["slow: about 2 min"]), (True, [])):
        seen = ProgressView(silent=silent)
        seen.say("begin")
        seen.say("slow: about 2 min", always=True)
        assert capsys.readouterr().err.splitlines() == lines
