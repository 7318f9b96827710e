"""The words for what can be run again although it is stored: statuses of cells, and `stale`."""

from __future__ import annotations

from collections.abc import Collection

from benchbd.errors import ConfigError

RERUN = ("failed", "timeout", "crashed", "oom", "diverged", "n/a", "ok", "stale")


def require_rerun(words: Collection[str]) -> None:
    """Raise `ConfigError` unless all words are known. A misspelt word would otherwise run nothing
    again, without a message.
    """
    if unknown := set(words) - set(RERUN):
        raise ConfigError(
            f"rerun: expected some of {', '.join(RERUN)}, got {', '.join(sorted(unknown))}"
        )
