"""The mapping from an error to the status that stands in a table."""

from __future__ import annotations

from benchbd.errors import Diverged, NotApplicable
from benchbd.record.cell import StatusCode


def status_of(error: BaseException) -> StatusCode:
    """Return the status of a piece of work that ended with `error`."""
    if isinstance(error, NotApplicable):
        return "n/a"
    if isinstance(error, Diverged):
        return "diverged"
    if isinstance(error, KeyboardInterrupt):
        return "cancelled"
    out_of_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return "oom" if out_of_memory or "can't allocate memory" in str(error) else "failed"
