"""`benchbd new`: what it writes passes its own tests, and nothing is overwritten."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchbd.cli.new import command
from benchbd.errors import ConfigError
from benchbd.plugin.entry import KINDS
from benchbd.plugin.loose import classes_in
from benchbd.testing import check_plugin, failures
from benchbd.testing.check import CHECKS


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(*words: str) -> str:
    return CliRunner().invoke(command, words, catch_exceptions=False).output


def pytest_over(folder: Path, *paths: Path) -> subprocess.CompletedProcess[str]:
    """The tests under `folder`, in a session of their own; checks that start further processes are
    left out.
    """
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-W",
        "error",
        "-p",
        "no:cacheprovider",
        "--benchbd-level",
        "api",
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    words = ["-k", "not import_", "--rootdir", str(folder), str(folder)]
    return subprocess.run(
        [*command, *words], capture_output=True, text=True, env=environment, timeout=120
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_passes_all_checks(here: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind != "defense":  # one process of its own is enough
        monkeypatch.setattr("benchbd.testing.runner.CHECKS", [c for c in CHECKS if not c.apart])
    told = new(kind, "my_own")
    assert (
        told == "  my_own.py\n  test_my_own.py\nnext: benchbd check ./my_own.py && pytest "
        "test_my_own.py\n"
    )
    (cls,) = classes_in(here / "my_own.py")
    assert (cls.kind, cls.name, cls.__name__) == (kind, "my_own", "MyOwn")
    results = check_plugin(cls, "smoke")
    assert failures(results) == []
    assert [result.check for result in results if result.status != "passed"] == [
        "catalogue_matches_class"
    ]
    assert len((here / "my_own.py").read_text().splitlines()) <= 40


@pytest.mark.slow
def test_files_pass_their_own_tests(here: Path) -> None:
    for kind in KINDS:
        new(kind, f"my_{kind}")
    done = pytest_over(here)
    assert (done.returncode, f"{len(KINDS) * 9} passed" in done.stdout) == (0, True), done.stdout


@pytest.mark.slow
def test_packages_pass_their_own_tests(here: Path) -> None:
    for kind in KINDS:
        new(kind, f"my_{kind}", "--package")
    done = pytest_over(here, *here.glob("*/src"))
    assert (done.returncode, f"{len(KINDS) * 9} passed" in done.stdout) == (0, True), done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("defense", "My-Defense"),
            "expected a name of small letters, digits and underscores, such as my_defense, got "
            "'My-Defense'",
        ),
        (("defense", "../x"), "expected a name"),
        (("defense", "anp"), "benchbd has a defense named 'anp' already; choose another name"),
    ],
)
def test_names_that_cannot_be(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        new(*words)


def test_nothing_is_overwritten(here: Path) -> None:
    (here / "test_my_own.py").write_text("precious")
    with pytest.raises(ConfigError, match="is there already; remove it, or choose another name"):
        new("defense", "my_own")
    assert not (here / "my_own.py").exists()
