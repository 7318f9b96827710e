"""The example distribution, from its wheel in an environment of its own: listed, run, checked,
ranked, gone again.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from support.own_environment import OwnEnvironment

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "plugins" / "example"
TINY = "--set recipe.epochs=1 --set model.width=2 --set dataset.size=8 --set defense.steps=5"
PROTOCOL = """
name: with-a-guest
dataset: {name: digits, params: {size: 8}}
model: {name: resnet_small, params: {width: 2}}
recipe: {epochs: 1}
clean_budget: 0.2
threads: 1
seeds: [0]
attacks: [{name: badnet, params: {size: 2}}]
defenses: [none, new_head]
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an environment in which the example is installed from its wheel."""
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(EXAMPLE, home / "source", ignore=shutil.ignore_patterns("__pycache__"))
    environment = OwnEnvironment(home / "own")
    environment.run(f"build --no-isolation --wheel --outdir {home}", cwd=home / "source")
    environment.run(f"pip install --no-deps --no-index {next(home.glob('*.whl'))}", cwd=home)
    return home


def benchbd(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [home / "own/bin/python", "-m", "benchbd", *words], cwd=home, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done


def listed(home: Path) -> dict[str, str]:
    return {
        entry["name"]: entry["provider"]
        for entry in json.loads(benchbd(home, "list", "defenses", "--json").stdout)
    }


def test_its_whole_life(home: Path) -> None:
    assert (listed(home)["new_head"], listed(home)["ft"]) == ("benchbd-example", "benchbd")
    assert "forgets the classifier" in benchbd(home, "info", "new_head").stdout

    done = benchbd(
        home, "run", "--attack", "badnet", "--defense", "new_head", *TINY.split(), "--json"
    )
    (cell,) = json.loads(done.stdout)["cells"]
    assert (cell["status"]["code"], cell["cell"]["defense"]["provider"]) == (
        "ok",
        "benchbd-example",
    )
    assert "scoreboard: badnet against new_head: DER" in done.stderr

    results = json.loads(
        benchbd(home, "check", "benchbd-example", "--level", "smoke", "--json").stdout
    )
    assert {result["status"] for result in results} == {"passed"}

    (home / "guest.yaml").write_text(PROTOCOL)
    benchbd(home, "matrix", "guest.yaml", "--executor", "inprocess")
    benchbd(home, "leaderboard", "build")
    assert "new_head" in (home / "leaderboard/leaderboard.csv").read_text()

    subprocess.run(
        [home / "own/bin/python", "-m", "pip", "uninstall", "--yes", "benchbd-example"],
        check=True,
        capture_output=True,
    )
    assert "new_head" not in listed(home)
    assert "new_head" in (home / "leaderboard/leaderboard.csv").read_text()
