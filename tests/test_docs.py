"""README and the pages under docs/ say what works: every block of code on them is run, in order, in
an empty folder.

What a reader does not need to see of a block stands in a comment above it:

    file=NAME          the block is written to that file
    run=plan           matrices that would take hours are only planned
    cwd=FOLDER         the commands are given in that folder
    environment=own    they run in a virtual environment, with nothing fetched from elsewhere
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from benchbd.cli.main import benchbd
from benchbd.record.cells import ResultStore
from benchbd.scaffold.write import write_plugin
from support import foreign_files
from support.own_environment import OwnEnvironment
from support.package_index import package_index

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BLOCK = re.compile(r"^(?:<!-- ([^\n]*) -->\n)?```(\w+)\n(.*?)^```", flags=re.S | re.M)
README = "../README.md"
PAGES = [README, *sorted(page.name for page in DOCS.glob("*.md") if BLOCK.search(page.read_text()))]

INPROCESS = ["--executor", "inprocess"]
ADDED = {
    "run": ["--set", "dataset.size=8", "--set", "model.width=2"],
    "matrix": INPROCESS,
    "sensitivity": INPROCESS,
}
"""Words after which a command of a page takes seconds, in this very process."""

SMALL = """
name: small
dataset: {name: digits, params: {size: 8}}
model: {name: resnet_small, params: {width: 4}}
recipe: {epochs: 1}
clean_budget: 0.2
seeds: [0]
attacks: [clean, badnet]
defenses: [none, ft, clp]
"""


def command(
    line: str, planned: bool = False, names: Mapping[str, list[str]] = MappingProxyType({})
) -> None:
    """A command of a page, on tiny data. names: what to write for words that stand for something of
    the reader's.
    """
    words = [
        meant for word in shlex.split(line, comments=True) for meant in names.get(word, [word])
    ]
    if words[0] == "python":
        subprocess.run([sys.executable, *words[1:]], check=True)
        return
    assert words[0] == "benchbd"
    if planned and words[1] in ("matrix", "sweep"):
        words.append("--dry-run")
    elif not {"--result-file", "--executor", "--dry-run"} & set(words):
        words += ADDED.get(words[1], [])
    done = CliRunner().invoke(benchbd, words[1:], catch_exceptions=False)
    assert done.exit_code == 0, f"{line}\n{done.output}"


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the results of a small matrix, and nothing else."""
    home = tmp_path_factory.mktemp("board")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        (home / "small.yaml").write_text(SMALL)
        command("benchbd matrix small.yaml")
    return home


def what_is_assumed(page: str, here: Path, board: Path) -> dict[str, list[str]]:
    """Lay out in `here` what a page takes for granted; what to write for the words that stand for
    it.
    """
    if page == "bring_your_own.md":
        foreign_files.lay_out(here)
    if page in (README, "cite.md", "leaderboard.md", "submitting.md", "run_many.md"):
        shutil.copytree(board, here, dirs_exist_ok=True)
    if page == README:
        foreign_files.lay_out(here)
        (attacked,) = (here / "record").glob("badnet-*")
        theirs = [
            "theirs",
            "--dataset",
            "imagefolder",
            "--set",
            "dataset.path=photos",
            "--name",
            "theirs",
        ]
        return {
            "NAME": [attacked.name],
            "FILE": [f"{attacked}/attack_result.pt"],
            "FOLDER": theirs,
            "...": [],
        }
    if page in ("cite.md", "leaderboard.md", "submitting.md"):
        shutil.copytree(ROOT / "leaderboard" / "published", here / "leaderboard" / "published")
        (here / "docs").mkdir()
        command("benchbd new defense my_defense")
        cell = next(
            c for c in ResultStore(here / "leaderboard" / "results") if c.cell.defense.name == "clp"
        )
        boards = {"A": ["leaderboard"], "B": ["leaderboard"], "X": ["ft"], "Y": ["clp"]}
        boards["submitted/results"] = ["leaderboard/results"]
        return {"KEY": [cell.key], "my_defense": ["./my_defense.py"]} | boards
    if page == "run_many.md":
        foreign_files.lay_out(here)
        (here / "photos").rename(here / "photographs")
    return {}


STARTED_THIS = ("pip install -e .", "pip install -e '.[test]'", "pytest")
"""Commands of README without which nobody would be here."""


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if page != "package_and_publish.md"])
def test_blocks_run(
    page: str, tmp_path: Path, board: Path, monkeypatch: pytest.MonkeyPatch, fast_checks: None
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    names = what_is_assumed(page, tmp_path, board)
    monkeypatch.setattr(
        "sys.argv", ["a script", "--result_file", *names.get("FILE", []), "--nb_iter", "20"]
    )

    def run(line: str, options: dict[str, str]) -> None:
        if line not in STARTED_THIS:
            command(line, options.get("run") == "plan", names)

    run_blocks(page, tmp_path, run)


@pytest.mark.slow
def test_a_package_is_made_tested_and_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast_checks: None
) -> None:
    monkeypatch.chdir(tmp_path)
    own = OwnEnvironment(tmp_path / "own")
    with package_index() as (address, arrived):
        sending = f" --repository-url {address} --username x --password x --non-interactive"

        def packaging(line: str, options: dict[str, str]) -> None:
            if options.get("environment") == "own":
                sent = sending if line.startswith("twine ") else ""
                own.run_offline(line + sent, tmp_path / options["cwd"])
            else:
                command(line)

        run_blocks("package_and_publish.md", tmp_path, packaging)
    assert sorted(arrived) == [
        "benchbd_my_method-0.1.0-py3-none-any.whl",
        "benchbd_my_method-0.1.0.tar.gz",
    ]


def run_blocks(page: str, here: Path, run: Callable[[str, dict[str, str]], None]) -> None:
    """All blocks of a page; `run` takes a command and the options of its block."""
    module = sys.modules["page"] = ModuleType("page")  # in which dataclasses look names up
    for words, language, text in BLOCK.findall((DOCS / page).read_text()):
        options = dict(word.partition("=")[::2] for word in words.split())
        assert (
            options.keys() <= {"file", "run", "cwd", "environment"}
            and options.get("run", "plan") == "plan"
        ), f"{page}: {words}"
        if "file" in options:
            (here / options["file"]).write_text(text)
        if language == "toml":
            tomllib.loads(text)
        elif language == "yaml":
            yaml.safe_load(text)
        elif language == "python":
            exec(compile(text, f"{page}:block", "exec"), vars(module))
        elif language == "sh":
            for line in re.split(r"\n| && ", text.replace("\\\n", " ").strip()):
                run(line, options)
        else:
            assert language == "text", f"{page}: nobody runs a block of {language}"


@pytest.fixture
def fast_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the checks that start further processes."""
    from benchbd.testing.check import CHECKS
    from benchbd.testing.runner import checks_for  # noqa: F401 - registers them

    monkeypatch.setattr(
        "benchbd.testing.runner.CHECKS", [check for check in CHECKS if not check.apart]
    )


def test_every_fence_is_one_that_the_blocks_are_found_by() -> None:
    """A word behind the language, or none at all, would hide the block from the tests above."""
    for page in DOCS.glob("*.md"):
        text = page.read_text()
        assert len(re.findall(r"^\s*```", text, flags=re.M)) == 2 * len(BLOCK.findall(text)), page


@pytest.mark.parametrize("kind", ["analysis", "model", "dataset", "executor"])
def test_guides_begin_with_the_file_that_the_scaffold_writes(kind: str, tmp_path: Path) -> None:
    written = write_plugin(kind, f"my_{kind}", tmp_path)[0]
    guides = {"analysis": "an_analysis", "model": "a_model", "dataset": "a_data_set"}
    guide = (guides | {"executor": "an_executor"})[kind]
    words, language, text = BLOCK.findall((DOCS / f"write_{guide}.md").read_text())[0]
    assert (words, language, text) == (f"file={written.name}", "python", written.read_text())


def test_links_lead_somewhere() -> None:
    for page in DOCS.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"


@pytest.mark.slow
def test_the_site_can_be_built(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed")
    command: list[Any] = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        tmp_path / "site",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    site = tmp_path / "site"
    assert 'href="plugins/index.html"' in (site / "index.html").read_text()
    assert "anp" in (site / "search" / "search_index.json").read_text()
    assert 'class="codehilite"' in (site / "tutorial.html").read_text()
