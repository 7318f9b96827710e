"""`pytest -m "not slow"` reaches every package, and what is slow is kept out of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.fast_lane import Guard, cpu_seconds

TESTS = Path(__file__).parent
SLOW = "pytest.mark.slow"
CORE, ZOO = TESTS.parent / "benchbd", TESTS.parent / "plugins" / "benchbd_zoo"


def fast_tests(path: Path) -> Iterator[str]:
    """The test functions of a file that are not marked slow as a whole."""
    body = ast.parse(path.read_text()).body
    if any(ast.unparse(node) == f"pytestmark = {SLOW}" for node in body):
        return
    for node in body:
        is_test = isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        if is_test and SLOW not in map(ast.unparse, node.decorator_list):
            yield node.name


def packages(root: Path) -> list[Path]:
    """Folders with modules in them, below `root`."""
    return sorted(
        {
            path.parent
            for path in root.rglob("*.py")
            if path.name != "__init__.py" and path.parent != root
        }
    )


@pytest.mark.parametrize(
    ("package", "mirrored"),
    [
        *((each, TESTS / each.relative_to(CORE)) for each in packages(CORE)),
        *((each, TESTS / "zoo" / each.relative_to(ZOO)) for each in packages(ZOO)),
    ],
    ids=lambda path: path.relative_to(TESTS.parent).as_posix(),
)
def test_every_package_has_a_fast_test(package: Path, mirrored: Path) -> None:
    assert any(name for path in mirrored.glob("test_*.py") for name in fast_tests(path)), (
        f"no test of {package.name} is fast"
    )


@pytest.mark.parametrize(
    ("text", "fast"),
    [
        ("def test_a(): ...", ["test_a"]),
        ("@pytest.mark.slow\ndef test_a(): ...\ndef test_b(): ...", ["test_b"]),
        ("pytestmark = pytest.mark.slow\ndef test_a(): ...", []),
        ("pytestmark = pytest.mark.usefixtures('slow')\ndef test_a(): ...", ["test_a"]),
        ("def helper(): ...", []),
    ],
)
def test_what_is_marked_slow_is_no_fast_test(text: str, fast: list[str], tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(text)
    assert list(fast_tests(tmp_path / "test_it.py")) == fast


def guarded(limit: float, marker: object, busy: float) -> None:
    """A test with this marker that keeps a core busy for some seconds, under guard."""
    item: Any = SimpleNamespace(get_closest_marker=lambda name: marker)
    call = Guard(limit).pytest_runtest_call(item)
    next(call)
    end = cpu_seconds() + busy
    while cpu_seconds() < end:
        pass
    next(call, None)


def test_a_fast_test_that_takes_too_long_fails() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"more than the 0\.01 of a fast test; make it"):
        guarded(0.01, marker=None, busy=0.02)


@pytest.mark.parametrize(("limit", "marker"), [(60, None), (0.01, "slow")])
def test_what_is_quick_or_marked_passes(limit: float, marker: str | None) -> None:
    guarded(limit, marker, busy=0.02)
