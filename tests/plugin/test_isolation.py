"""Whatever somebody else's package does, everything else goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

GOOD = """
from benchbd.api import Repair
class Plugin(Repair):
    api = 1
    name = "NAME"
    def repair(self, model, clean, rng):
        return model.eval()
"""
PACKAGES = {
    "good": GOOD,
    "raising": "1 / 0",
    "exiting": "raise SystemExit(7)",
    "quitting": "import os, sys; print('noise'); print('last words', file=sys.stderr, "
    "flush=True); os._exit(3)",
    "looping": "while True:\n    try:\n        while True: pass\n    except Exception: pass",
    "future": GOOD.replace("api = 1", "api = 99"),
    "ft": GOOD,
    "needy": "import a_library_that_nobody_has",
    "verbless": GOOD.replace("def repair", "def repiar"),
}
REASONS = {
    "raising": ("import-error", "ZeroDivisionError"),
    "exiting": ("import-error", "SystemExit: 7"),
    "quitting": ("import-error", "its import ended the process with exit code 3"),
    "looping": ("import-error", "ImportTimeout: it did not end within 12 s"),
    "future": ("api-too-new", "upgrade benchbd"),
    "ft": ("name-clash", "'ft' is provided by benchbd, dist-ft"),
    "needy": ("import-error", "No module named 'a_library_that_nobody_has'"),
    "verbless": ("contract", "is that 'repiar'"),
}


def distribution(
    site: Path, name: str, source: str, plugin: str = "", registry: str = "", kind: str = "defense"
) -> None:
    """A package and its metadata, as an installer leaves them."""
    package, about = site / f"pkg_{name}", site / f"dist_{name}-1.0.dist-info"
    package.mkdir(parents=True)
    about.mkdir()
    (package / "__init__.py").write_text(source.replace("NAME", plugin or name))
    (package / "registry.yaml").write_text(
        registry or f"{kind}: {{{name}: {{family: repair, summary: made by dist-{name}}}}}\n"
    )
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: dist-{name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        f"[benchbd.{kind}]\n{plugin or name} = pkg_{name}:Plugin\n"
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one package of every kind of trouble."""
    site = tmp_path_factory.mktemp("site")
    for name, source in PACKAGES.items():
        distribution(site, name, source)
    distribution(site, "malformed", GOOD, registry="defense: [")
    return site


def benchbd(
    site: Path, *words: str, cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(site), "BENCHBD_IMPORT_SECONDS": "12"} | variables
    command = [sys.executable, "-m", "benchbd", *words]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=cwd, timeout=120
    )


def listed(done: subprocess.CompletedProcess[str]) -> set[str]:
    assert done.returncode == 0, done.stderr
    return {f"{entry['provider']}/{entry['name']}" for entry in json.loads(done.stdout)}


def test_listing_shows_them_all_and_runs_none(site: Path) -> None:
    found = listed(benchbd(site, "list", "defenses", "--json"))
    assert found >= {f"dist-{name}/{name}" for name in [*PACKAGES, "malformed"]} | {"benchbd/anp"}


def test_metadata_that_cannot_be_read_hides_nobody_else(tmp_path: Path) -> None:
    distribution(tmp_path, "good", GOOD)
    broken = tmp_path / "dist_a-1.0.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Name: dist-a\nVersion: 1.0\n")
    (broken / "entry_points.txt").write_text("[benchbd.defense]\nthis is no entry point\n")
    assert listed(benchbd(tmp_path, "list", "defenses", "--json")) >= {
        "dist-good/good",
        "benchbd/anp",
    }


def test_what_is_broken_is_shown_with_reason_and_trace(site: Path) -> None:
    done = benchbd(site, "plugins", "-v")
    assert done.returncode == 0, done.stderr
    for name, (reason, message) in REASONS.items():
        (line,) = [
            line for line in done.stdout.splitlines() if line.startswith(f"broken defense.{name} (")
        ]
        assert f"({reason})" in line
        assert message in line
    assert done.stdout.count("Traceback (most recent call last)") == len(REASONS) - 2
    assert "last words" in done.stdout
    assert "broken defense.good" not in done.stdout


@pytest.mark.parametrize("name", ["anp", "dist-malformed/malformed", "good"])
def test_info_of_everything_else(site: Path, name: str) -> None:
    done = benchbd(site, "info", name.rpartition("/")[2], "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["name"] == name.rpartition("/")[2]


def test_a_run_of_everything_else(site: Path, tmp_path: Path) -> None:
    words = (
        "run --attack badnet --defense good --defense benchbd/ft --set recipe.epochs=1 --set "
        "model.width=2 --set dataset.size=8"
    )
    done = benchbd(site, *words.split(), "--set", "defense.epochs=1", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = (cell["cell"]["defense"] for cell in json.loads(done.stdout)["cells"])
    assert (first["provider"], first["version"], first["name"]) == ("dist-good", "1.0", "good")
    assert (second["provider"], second["name"]) == ("benchbd", "ft")


def test_a_taken_name_is_refused_at_use_with_both_providers(site: Path, tmp_path: Path) -> None:
    done = benchbd(site, "run", "--attack", "badnet", "--defense", "ft", cwd=tmp_path)
    assert (done.returncode, "benchbd/ft and dist-ft/ft; name the one you mean" in done.stderr) == (
        3,
        True,
    )


def test_plugins_can_be_switched_off(site: Path) -> None:
    everything = listed(benchbd(site, "list", "--json"))
    assert {name for name in everything if not name.startswith("benchbd/")} == {
        f"dist-{n}/{n}" for n in [*PACKAGES, "malformed"]
    }
    assert all(
        name.startswith("benchbd/")
        for name in listed(benchbd(site, "list", "--json", BENCHBD_DISABLE_PLUGINS="1"))
    )
    unwanted = [
        "--no-plugin",
        "dist-ft",
        "--no-plugin",
        "defense.good",
        "--no-plugin",
        "benchbd/anp",
        "--no-plugin",
        "future",
    ]
    left = everything - listed(benchbd(site, *unwanted, "list", "--json"))
    assert left == {"dist-ft/ft", "dist-good/good", "benchbd/anp", "dist-future/future"}


PROGRAM = """
import atexit, sys, time
atexit.register(lambda: print(time.process_time(), file=sys.stderr))
sys.argv = ["benchbd", "list"]
from benchbd.cli.main import main
main()
"""


def test_five_hundred_plugins_are_listed_at_once(tmp_path: Path) -> None:
    for number in range(50):
        distribution(tmp_path, f"p{number}", "raise SystemExit('imported')")
        (tmp_path / f"dist_p{number}-1.0.dist-info" / "entry_points.txt").write_text(
            "[benchbd.defense]\n"
            + "".join(f"p{number}_{i} = pkg_p{number}:Plugin\n" for i in range(10))
        )
        cards = "".join(
            f"  p{number}_{i}: {{family: repair, summary: plugin {i} of package {number}}}\n"
            for i in range(10)
        )
        (tmp_path / f"pkg_p{number}" / "registry.yaml").write_text("defense:\n" + cards)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    runs = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment
        )
        for _ in range(4)
    ]
    assert all(run.stdout.count("plugin 3 of package") == 50 for run in runs)
    assert (
        min(float(run.stderr) for run in runs) < 0.6
    )  # 0.15 on an idle core; the slack is for shared ones
