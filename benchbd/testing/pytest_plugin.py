"""The pytest plugin: one option, and the expansion of `parametrize_with_checks`. pytest loads it in
every session, so it imports nothing large.
"""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option `--benchbd-level`."""
    group = parser.getgroup("benchbd")
    group.addoption(
        "--benchbd-level",
        choices=("api", "smoke", "full"),
        default="smoke",
        help="how much plugins are checked",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker of tests that check a contract."""
    config.addinivalue_line(
        "markers", "benchbd_contract(contract): run the test once per check of these plugins"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each check that a marked function asks for."""
    marker = metafunc.definition.get_closest_marker("benchbd_contract")
    if marker is not None:
        metafunc.parametrize(
            "check", marker.args[0].cases(metafunc.config.getoption("--benchbd-level"))
        )
