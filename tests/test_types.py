"""What is installed carries its version and its types: a plugin that is written against it can be
checked.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from benchbd.plugin.entry import KINDS
from benchbd.scaffold.write import write_plugin
from support.own_environment import OwnEnvironment

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "plugins" / "example"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMPLETE = re.compile(r"^<!-- file=(\w+\.py) -->\n```python\n(.*?)^```", flags=re.S | re.M)
STRICT = ("--strict", "--untyped-calls-exclude=torch")
"""`Tensor.backward` has no types, and many a plugin calls it."""

SHRINK = re.compile(r"^```python\n([^`]*^class Shrink.*?)^```", flags=re.S | re.M)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> OwnEnvironment:
    """An environment in which benchbd is installed from its wheel and no source of it is seen."""
    home = tmp_path_factory.mktemp("types")
    environment = OwnEnvironment(home / "own", sources=())
    environment.run(f"build --no-isolation --wheel --outdir {home}", cwd=ROOT)
    environment.run(f"pip install --no-deps --no-index {next(home.glob('*.whl'))}", cwd=home)
    return environment


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """What authors have written: README's plugin, the complete files of the guides, the scaffold's,
    the example distribution.
    """
    shrink = SHRINK.search(PAGES[0].read_text())
    assert shrink is not None
    (tmp_path / "shrink.py").write_text(shrink[1])
    for page in PAGES:
        for name, text in COMPLETE.findall(page.read_text()):
            (tmp_path / name).write_text(text)
    for kind in KINDS:
        write_plugin(kind, f"new_{kind}", tmp_path)
    for folder in ("src", "tests"):
        shutil.copytree(EXAMPLE / folder, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_what_authors_write_is_typed_and_a_slip_is_found(
    own: OwnEnvironment, written: Path
) -> None:
    """In one session, because reading the types of torch takes most of its time."""
    plugin = (written / "new_defense.py").read_text()
    (written / "slip.py").write_text(plugin.replace("clean.train", "clean.training"))
    line = 1 + plugin[: plugin.index("clean.train")].count("\n")
    cache = ROOT / ".mypy_cache" / "installed"
    words = [*STRICT, "--python-executable", own.python, "--cache-dir", cache, "."]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *words], cwd=written, capture_output=True, text=True
    )
    found, summary = done.stdout.splitlines()
    assert found.startswith(f'slip.py:{line}: error: "CleanSet" has no attribute "training"')
    assert summary.startswith("Found 1 error in 1 file")


def test_it_says_its_version(own: OwnEnvironment, tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    told = own.run("python -c 'import benchbd; print(benchbd.__version__)'", cwd=tmp_path)
    assert told.strip() == project["version"]
