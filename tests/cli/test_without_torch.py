"""What is stored is read without torch: each command runs in a process in which it cannot be
imported.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from benchbd.cli.main import benchbd as command_line
from benchbd.matrices.known_plugins import KNOWN_FILE
from benchbd.plugin.registry import forget
from support.tiny_matrix import PLUGINS, TINY

ROOT = Path(__file__).parents[2]
PROTOCOL = TINY | {
    "seeds": [0, 1],
    "attacks": ["badnet", "own_training"],
    "defenses": ["none", "moody", "retrains"],
}
RUN = [
    "matrix", "tiny.yaml", "--executor", "inprocess",
    "--seed", "0", "--attack", "badnet", "--defense", "none", "--defense", "moody",
]  # fmt: skip
LISTINGS = (
    ["plan", "tiny.yaml"],
    ["plan", "tiny.yaml", "--json"],
    ["plan", "tiny.yaml", "--attack", "badnet", "--rerun", "ok"],
    ["status", "tiny.yaml"],
    ["status"],
)
BOARDS = (
    ["leaderboard", "build"],
    ["leaderboard", "show"],
    ["leaderboard", "export", "--format", "csv"],
    ["leaderboard", "diff", "leaderboard/results", "leaderboard/results"],
)


@pytest.fixture(scope="module", autouse=True)
def _plugins() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PLUGINS)
        forget()
        yield
    forget()


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that cannot import torch."""
    folder = tmp_path_factory.mktemp("refusing")
    (folder / "torch").mkdir()
    (folder / "torch" / "__init__.py").write_text('raise ImportError("torch is refused here")\n')
    return os.environ | {"PYTHONPATH": os.pathsep.join((str(folder), str(PLUGINS)))}


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a matrix that was begun and whose plan was then listed: some cells are stored,
    some are missing, some do not apply. What a listing may know is known.
    """
    folder = tmp_path_factory.mktemp("matrix")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(PROTOCOL))
    asked(folder, RUN)
    # in a process of its own, since this one may be shown other packages by the tests before
    environment = os.environ | {"PYTHONPATH": str(PLUGINS)}
    assert refused(folder, ["plan", "tiny.yaml"], environment).returncode == 0
    return folder


def asked(folder: Path, words: list[str]) -> str:
    """What a command prints in this process, which has torch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = CliRunner().invoke(command_line, words, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def refused(
    folder: Path, words: list[str], environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """What a command does in a process of its own, which may be without torch."""
    command = [sys.executable, "-m", "benchbd", *words]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("words", LISTINGS, ids=" ".join)
def test_a_known_plan_is_told_as_the_classes_tell_it(
    matrix: Path, refusing: dict[str, str], words: list[str]
) -> None:
    told = refused(matrix, words, refusing)
    known = matrix / "leaderboard" / "results" / KNOWN_FILE
    content = known.read_bytes()
    known.unlink()
    assert (told.stdout, told.stderr) == (asked(matrix, words), "")
    known.write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize("words", BOARDS, ids=" ".join)
def test_a_small_board(matrix: Path, refusing: dict[str, str], words: list[str]) -> None:
    told = refused(matrix, words, refusing)
    assert told.returncode == 0, told.stderr
    assert told.stdout == asked(matrix, words)


@pytest.mark.slow
def test_an_unknown_plan_needs_the_classes(
    matrix: Path, refusing: dict[str, str], tmp_path: Path
) -> None:
    """So torch is really refused, and what needs it says so."""
    told = refused(matrix, ["plan", "tiny.yaml", "--results", str(tmp_path)], refusing)
    assert told.returncode == 3
    assert "ImportError: torch is refused here" in told.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["leaderboard", "build", "--check"],
        ["leaderboard", "show"],
        ["leaderboard", "export", "--format", "csv"],
        ["leaderboard", "diff", "leaderboard", "leaderboard/leaderboard.json"],
    ],
    ids=" ".join,
)
def test_the_board_of_this_repository(refusing: dict[str, str], words: list[str]) -> None:
    told = refused(ROOT, words, refusing)
    assert (told.returncode, told.stderr) == (0, "")
