"""What the tests of the matrix share: plugins that misbehave, tiny protocols, a session of the
local executor.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchbd.executing.executor import Limits, Session, open_executor
from benchbd.matrices.matrix import Matrix
from benchbd.plugin.registry import forget
from benchbd.running.protocol import Protocol, parse_protocol

PLUGINS = Path(__file__).parent / "misbehaving"

TINY = {
    "name": "tiny",
    "dataset": {"name": "digits", "params": {"size": 8}},
    "model": {"name": "resnet_small", "params": {"width": 4}},
    "recipe": {"epochs": 1, "precision": "fp32"},
    "threads": 1,
    "seeds": [0],
    "attacks": ["badnet"],
    "defenses": ["none"],
}

ProtocolOf = Callable[..., Protocol]
MatrixOf = Callable[..., Matrix]
Notes = Callable[[], list[list[str]]]


@pytest.fixture(scope="package")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the misbehaving plugins, registered in this process and in those that it
    starts.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCHBD_TEST_NOTES", str(tmp_path_factory.mktemp("notes") / "notes"))
        patch.syspath_prepend(PLUGINS)
        patch.setenv("PYTHONPATH", str(PLUGINS))
        forget()
        yield PLUGINS
    forget()


@pytest.fixture(scope="package")
def tiny(plugins: Path) -> ProtocolOf:
    """A protocol of digits at 8x8, a narrow network and one epoch, with what a test changes."""

    def protocol(**changes: Any) -> Protocol:
        return parse_protocol(TINY | changes, "a test")

    return protocol


@pytest.fixture
def matrix_in(tmp_path: Path) -> MatrixOf:
    """A matrix over a folder, by default the test's own."""

    def matrix(protocol: Protocol, folder: Path = tmp_path, **more: Any) -> Matrix:
        return Matrix(protocol, results=folder / "results", records=folder / "record", **more)

    return matrix


@pytest.fixture(scope="module")
def two_workers(plugins: Path) -> Iterator[Session]:
    """Two workers side by side, for all tests of a module."""
    with open_executor("local", {"executor.workers": "2"}, Limits(threads=1)) as session:
        yield session


@pytest.fixture
def notes(plugins: Path) -> Notes:
    """What the misbehaving plugins have noted of their work since the test began, word by word."""
    path = Path(os.environ["BENCHBD_TEST_NOTES"])
    path.write_text("")
    return lambda: [line.split() for line in path.read_text().splitlines()]
