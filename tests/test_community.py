"""The papers at the door say what the code says: versions, bounds, floors, paths, what CI runs."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from benchbd.cli.list import plugin_table
from benchbd.cli.main import benchbd
from benchbd.plugin.entry import KINDS
from benchbd.plugin.registry import entries
from benchbd.record.cells import ResultStore
from support.made_cells import make_cell
from test_architecture import LAYERS

ROOT = Path(__file__).parents[1]
CORE, GITHUB = ROOT / "benchbd", ROOT / ".github"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION: dict[str, Any] = yaml.safe_load((ROOT / "CITATION.cff").read_text())
WORKFLOWS: dict[str, dict[Any, Any]] = {
    path.stem: yaml.safe_load(path.read_text()) for path in (GITHUB / "workflows").glob("*.yml")
}

PAGES = ("CONTRIBUTING.md", "SECURITY.md", "README.md", "docs/architecture.md")


def drawing() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "pictures" / "floors.py"))


def test_the_map_names_every_part_from_the_ground_up() -> None:
    rows = list(drawing()["contents"]())
    floors = [next(n for n, parts in enumerate(LAYERS) if part in parts) for part in rows]
    assert floors == sorted(floors)
    assert set(rows) == set().union(*LAYERS)
    assert {path.name for path in CORE.iterdir() if (path / "__init__.py").is_file()} <= set(rows)


def test_the_picture_of_the_floors_is_the_one_that_is_drawn() -> None:
    names = drawing()
    assert names["floors"]() == [sorted(parts) for parts in LAYERS]
    drawn = names["svg"](names["floors"](), names["contents"]())
    assert (ROOT / "docs" / "pictures" / "floors.svg").read_text() == drawn


@pytest.mark.parametrize(
    "page", ["CONTRIBUTING.md", "SECURITY.md", "README.md", "docs/architecture.md"]
)
def test_paths_and_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    text = path.read_text()
    named = re.findall(r"`((?:benchbd|plugins|tests|docs|leaderboard|\.github)/[\w./-]*)`", text)
    links = re.findall(r"\]\(([^)#:]+)[^):]*\)", text)
    assert [name for name in named if not (ROOT / name).exists()] == []
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200


def test_the_list_of_papers_is_the_generated_one() -> None:
    page = (ROOT / "docs" / "papers.md").read_text()
    listed = page.partition("<!-- plugins -->\n")[2].partition("\n<!-- /plugins -->")[0]
    bundled = [tuple(e for e in entries(kind) if e.provider == "benchbd") for kind in KINDS]
    assert listed == "\n\n".join(map(plugin_table, KINDS, bundled))


def test_the_version_is_the_same_wherever_it_stands() -> None:
    version, date = PROJECT["version"], str(CITATION["date-released"])
    assert CITATION["version"] == version
    released = re.findall(r"^## \[(.+?)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert released[0] == (version, date)
    cited = f"{CITATION['authors'][0]['name']} ({date[:4]}). benchbd, version {version},"
    assert cited in (ROOT / "docs" / "cite.md").read_text()


def test_every_supported_python_is_tested() -> None:
    marked = "Programming Language :: Python :: "
    supported = [c.removeprefix(marked) for c in PROJECT["classifiers"] if c.startswith(marked)]
    jobs = WORKFLOWS["test"]["jobs"]
    assert jobs["newest"]["strategy"]["matrix"]["python"] == supported
    assert PROJECT["requires-python"] == f">={supported[0]}"
    others = [jobs[name]["steps"][1]["with"]["python-version"] for name in ("lowest", "fp32")]
    assert others == [supported[0]] * 2


def test_the_lowest_releases_are_the_bounds() -> None:
    script = runpy.run_path(str(GITHUB / "lowest.py"))
    assert (GITHUB / "lowest.txt").read_text() == script["lowest"](PROJECT["dependencies"])
    assert script["lowest"](["a>=1.2,<3"]).endswith("\na==1.2\n")
    with pytest.raises(ValueError, match="expected NAME>=VERSION"):
        script["lowest"](["a<3"])


def test_ci_runs_what_contributors_are_told_to_run() -> None:
    told = "ruff check . && ruff format --check . && mypy && pytest"
    run = [s["run"] for s in WORKFLOWS["test"]["jobs"]["newest"]["steps"] if "run" in s]
    assert run[1:] == told.split(" && ")
    assert told in (ROOT / "CONTRIBUTING.md").read_text()
    assert told in (GITHUB / "PULL_REQUEST_TEMPLATE.md").read_text()


def test_the_job_that_reads_submitted_files_can_only_read() -> None:
    """pull_request_target hands out rights, so the two jobs must not be joined one day."""
    workflow = WORKFLOWS["results"]
    check, comment = workflow["jobs"]["check"], workflow["jobs"]["comment"]
    assert workflow["permissions"] == {} and check["permissions"] == {"contents": "read"}
    (checkout,) = [step for step in check["steps"] if is_checkout(step)]
    assert checkout["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
    assert checkout["with"]["persist-credentials"] is False
    assert comment["permissions"] == {"pull-requests": "write"}
    assert not any(map(is_checkout, comment["steps"]))
    assert not any("${{" in step.get("run", "") for step in (*check["steps"], *comment["steps"]))


def is_checkout(step: dict[str, Any]) -> bool:
    return str(step.get("uses", "")).startswith("actions/checkout@")


@pytest.fixture
def submission(tmp_path: Path) -> Path:
    """A repository with one file below leaderboard/, committed."""
    (tmp_path / "theirs" / "leaderboard" / "results").mkdir(parents=True)
    (tmp_path / "theirs" / "leaderboard" / "results" / "a.json").write_text("{}")
    git(tmp_path / "theirs", "init", "--quiet")
    commit(tmp_path / "theirs")
    return tmp_path / "theirs"


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=x", "-c", "user.email=x", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", folder, *who, *words], check=True)


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "x")


def take(submission: Path) -> subprocess.CompletedProcess[str]:
    words = ["bash", GITHUB / "take_results.sh", submission, "HEAD", submission.parent / "taken"]
    return subprocess.run(words, capture_output=True, text=True)


@pytest.mark.slow
def test_submitted_files_are_taken_as_they_are(submission: Path) -> None:
    (submission / ".gitattributes").write_text("* export-ignore\n*.json text eol=crlf\n")
    (submission / "leaderboard" / "results" / "b.json").write_text("{\n}\n")
    commit(submission)
    assert take(submission).returncode == 0
    taken = submission.parent / "taken"
    assert sorted(p.name for p in taken.rglob("*") if p.is_file()) == ["a.json", "b.json"]
    assert (taken / "leaderboard" / "results" / "b.json").read_bytes() == b"{\n}\n"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["link", "executable", "script"])
def test_what_is_no_plain_result_file_is_refused(submission: Path, kind: str) -> None:
    new = submission / "leaderboard" / "results" / ("new.sh" if kind == "script" else "new.json")
    if kind == "link":
        new.symlink_to("/etc/passwd")
    else:
        new.write_text("{}")
        new.chmod(0o755 if kind == "executable" else 0o644)
    commit(submission)
    refused = take(submission)
    assert refused.returncode == 1 and f"results/{new.name}" in refused.stderr
    assert not (submission.parent / "taken").exists()


@pytest.mark.slow
def test_a_report_on_results_shows_submitted_texts_as_they_are(tmp_path: Path) -> None:
    """Somebody adds a cell of a method that nobody has here, under a name made to do harm."""
    shutil.copytree(GITHUB, tmp_path / "ours" / ".github")
    board, theirs = tmp_path / "ours" / "leaderboard", tmp_path / "theirs"
    for folder in (board, theirs):
        ResultStore(folder / "results").write(make_cell().place, make_cell())
        (folder / "trust.json").write_text("{}")
    evil = make_cell(defense="```\n::error::@everyone")
    ResultStore(theirs / "results").write(evil.place, evil)
    for folder in (board, theirs):
        build(folder)
    done = check(tmp_path / "ours", theirs, tmp_path / "report.md")
    report = (tmp_path / "report.md").read_text()
    assert done.returncode == 1 and "@everyone" not in done.stdout + done.stderr
    assert "    fault " in report and "'somebody', which is not installed here" in report
    assert "    the board is what the results give\n" in report
    assert {line[:4] for line in report.splitlines() if "@everyone" in line} == {"    "}
    assert "    new: trial@1" in report and "gone" not in report
    assert report.endswith("\nSomething is wrong: see above, and docs/submitting.md.\n")


def check(ours: Path, theirs: Path, report: Path) -> subprocess.CompletedProcess[str]:
    words = ["bash", ours / ".github" / "check_results.sh", theirs, report]
    path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(words, capture_output=True, text=True, env=os.environ | path)


def build(folder: Path) -> None:
    words = ["leaderboard", "build", "--results", str(folder / "results"), "--out", str(folder)]
    assert CliRunner().invoke(benchbd, words).exit_code == 0
