"""`benchbd new`: what it writes passes its own tests, and nothing is overwritten."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from benchbd.cli.new import command
from benchbd.errors import ConfigError
from benchbd.plugin.entry import KINDS
from benchbd.plugin.loose import classes_in
from benchbd.scaffold.starts import OBSERVER, STARTS
from benchbd.testing import check_plugin, failures
from benchbd.testing.check import CHECKS
from support.own_environment import OwnEnvironment

EVERY_START = [(kind, start) for kind, starts in STARTS.items() for start in starts]
PLUGINS = [(kind, start) for kind, start in EVERY_START if kind != OBSERVER]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(*words: str) -> str:
    return CliRunner().invoke(command, words, catch_exceptions=False).output


def family(kind: str, start: str) -> list[str]:
    """The words that ask for one start of several."""
    return ["--family", start] if len(STARTS[kind]) > 1 else []


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
        [*command, *words], capture_output=True, text=True, env=environment, timeout=300
    )


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "start"), PLUGINS)
def test_a_file_passes_all_checks(
    here: Path, kind: str, start: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if start != "repair":  # one process of its own is enough
        monkeypatch.setattr("benchbd.testing.runner.CHECKS", [c for c in CHECKS if not c.apart])
    told = new(kind, "my_own", *family(kind, start))
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
    for kind, start in EVERY_START:
        new(kind, f"my_{start.replace('-', '_')}", *family(kind, start))
    done = pytest_over(here)
    count = len(PLUGINS) * 9 + 1
    assert (done.returncode, f"{count} passed" in done.stdout) == (0, True), done.stdout


@pytest.mark.slow
def test_packages_pass_their_own_tests(here: Path) -> None:
    for kind in KINDS:
        new(kind, f"my_{kind}", "--package")
    done = pytest_over(here, *here.glob("*/src"))
    assert (done.returncode, f"{len(KINDS) * 9} passed" in done.stdout) == (0, True), done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name"), [("defense", "./mine.py"), ("observer", "mine"), ("observer", "./mine.py")]
)
def test_the_workflow_of_a_package_passes(here: Path, kind: str, name: str) -> None:
    if name.endswith(".py"):
        new(kind, "mine")
    told = new(kind, name, "--package")
    root, own = here / "benchbd-mine", OwnEnvironment(here / "own")
    assert "next: cd benchbd-mine && pip install" in told
    workflow = yaml.safe_load((root / ".github/workflows/test.yml").read_text())
    for step in workflow["jobs"]["test"]["steps"]:
        if "run" in step:
            own.run_offline(step["run"], root)
    assert "benchbd-mine" in own.run("benchbd plugins", root)


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


@pytest.mark.parametrize("words", [[], ["--package", "--family", "repair"]])
def test_a_file_is_wrapped_and_nothing_else(here: Path, words: list[str]) -> None:
    (here / "mine.py").write_text("")
    refused = CliRunner().invoke(command, ["defense", "./mine.py", *words])
    assert refused.exit_code == 2
    assert "`benchbd new defense ./mine.py --package` writes a distribution around it" in " ".join(
        refused.output.split()
    )
