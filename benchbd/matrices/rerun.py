"""What can be done again although it is stored: cells by how they ended, and what is stale."""

from __future__ import annotations

from collections.abc import Collection

from benchbd.errors import ConfigError

RERUN = ("failed", "timeout", "crashed", "oom", "diverged", "n/a", "ok", "stale")


def require_rerun(words: Collection[str]) -> None:
    """Raise `ConfigError` unless all of them are known: one with a slip in it would do nothing
    again, and say nothing.
    """
    if unknown := set(words) - set(RERUN):
        raise ConfigError(
            f"rerun: expected some of {', '.join(RERUN)}, got {', '.join(sorted(unknown))}"
        )
