"""The pages under docs/ say what works: their blocks of code are run, in order, in an empty folder."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import foreign_files
import pytest
from click.testing import CliRunner

from benchbd.cli.main import benchbd

DOCS = Path(__file__).parents[1] / "docs"
PAGES = ("bring_your_own.md", "tutorial.md", "statistics.md", "write_a_defense.md", "write_an_attack.md", "package_and_publish.md")
BLOCK = re.compile(r"^(?:<!-- ([^\n]*) -->\n)?```(\w+)\n(.*?)^```", flags=re.S | re.M)
"""What a reader does not need to see of a block, such as that it is not run here but planned, stands in a comment above it."""

INPROCESS = ["--executor", "inprocess"]
ADDED = {"run": ["--set", "dataset.size=8", "--set", "model.width=2"], "matrix": INPROCESS, "sensitivity": INPROCESS}
"""Words after which a command of a page takes seconds, in this very process."""


def command(line: str) -> None:
    """A `benchbd` command of a page, on tiny data."""
    words = shlex.split(line)
    assert words[0] == "benchbd"
    words += [] if "--result-file" in words else ADDED.get(words[1], [])
    done = CliRunner().invoke(benchbd, words[1:], catch_exceptions=False)
    assert done.exit_code == 0, f"{line}\n{done.output}"


@pytest.mark.parametrize("page", [*PAGES, "sensitivity.md"])
def test_blocks_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("benchbd.testing.runner.CHECKS", [c for c in checks() if not c.name.startswith("import_")])
    if page == "bring_your_own.md":
        foreign_files.lay_out(tmp_path)
    names = {"__name__": "page"}
    for words, language, text in BLOCK.findall((DOCS / page).read_text()):
        options = dict(word.partition("=")[::2] for word in words.split())
        if "file" in options:
            (tmp_path / options["file"]).write_text(text)
        if language == "toml":
            tomllib.loads(text)
        elif language == "python":
            exec(compile(text, f"{page}:block", "exec"), names)
        elif language == "sh" and options.get("run") != "no":
            for line in text.splitlines():
                command(line)


@pytest.mark.parametrize("page", ["attacks.md", "repairs.md", "detectors.md", "filters.md"])
def test_what_takes_hours_can_be_planned(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    planned = [text for words, _, text in BLOCK.findall((DOCS / page).read_text()) if words == "run=plan"]
    assert planned
    for text in planned:
        command(text.replace("\\\n", " ").strip() + " --dry-run")


def checks() -> list[Any]:
    from benchbd.testing.check import CHECKS
    from benchbd.testing.runner import checks_for  # noqa: F401 - registers them

    return CHECKS


def test_every_page_has_blocks_of_its_own() -> None:
    assert all(len(BLOCK.findall((DOCS / page).read_text())) >= 2 for page in PAGES)


def test_every_fence_is_one_that_the_blocks_are_found_by() -> None:
    """A word behind the language would hide the block from the tests above, and be drawn on the page."""
    for page in DOCS.rglob("*.md"):
        assert not re.search(r"^```\w+[^\w\n]", page.read_text(), flags=re.M), page


def test_links_lead_somewhere() -> None:
    for page in DOCS.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_the_site_can_be_built(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=DOCS.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'href="plugins/index.html"' in (tmp_path / "site" / "index.html").read_text()
