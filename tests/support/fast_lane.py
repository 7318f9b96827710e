"""What keeps `pytest -m "not slow"` fast."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest


class Guard:
    """Fails a test that is not marked slow and takes more than `limit` seconds of a core, in this
    process or in those that it has waited for; on a busy machine it takes no more of them.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        before = cpu_seconds()
        yield
        spent = cpu_seconds() - before
        if spent > self.limit and item.get_closest_marker("slow") is None:
            pytest.fail(
                f"it took {spent:.1f} s of a core, more than the {self.limit:g} of a fast test; "
                "make it smaller, or mark it slow",
                pytrace=False,
            )


def cpu_seconds() -> float:
    """Of this process and of the children that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)
