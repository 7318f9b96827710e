"""How the tests are run: side by side, one for each core, each of which computes on one thread."""

from __future__ import annotations

import gc
import os
from collections import Counter

import pytest

from support import fast_lane

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fast-limit",
        type=float,
        metavar="SECONDS",
        help="fail a test that is not marked slow and keeps a core busy for longer",
    )


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("benchmark_only"):
        for name in THREADS:  # before torch is imported, for this process and all that it starts
            os.environ.setdefault(name, "1")
    if hands_out_tests(config):
        return  # to workers; what the fixtures import takes seconds
    gc.disable()  # until all tests are collected: none of it is garbage, and to look takes seconds
    from support import fixtures

    config.pluginmanager.register(fixtures)
    if limit := config.getoption("fast_limit"):
        config.pluginmanager.register(fast_lane.Guard(limit))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, of both kinds those with many tests, so that no worker is
    left alone with a long one at the end.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    count = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path not in slow, -count[item.path]))


def pytest_collection_finish() -> None:
    gc.freeze()  # modules and tests live to the end and need not be looked through again
    gc.enable()


def hands_out_tests(config: pytest.Config) -> bool:
    return config.getoption("dist", "no") != "no" and "PYTEST_XDIST_WORKER" not in os.environ


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """None where files are named, which are done before workers have started."""
    from benchbd.engine.cores import usable_cores

    return 0 if all(".py" in argument for argument in config.args) else usable_cores()
