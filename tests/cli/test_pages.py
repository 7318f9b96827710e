"""Pages of plugins: they hold what class and catalogue say, and the committed ones are
up to date.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pyarrow.parquet
import pytest
from click.testing import CliRunner
from PIL import Image

from benchbd import run
from benchbd.cli.main import benchbd
from benchbd.cli.pages import command
from benchbd.errors import DataError
from benchbd.plugin.entry import KINDS, PluginEntry
from benchbd.plugin.page import page
from benchbd.plugin.registry import entries, load
from benchbd.testing.subject import quick

DOCS = Path(__file__).parents[2] / "docs" / "plugins"


BUNDLED = [entry for kind in KINDS for entry in entries(kind) if entry.provider == "benchbd"]


LOOKED_AT = "looked_at"
"""The name of a small attack result, for the commands of analyses."""

PROTOCOL = "name: p\ndataset: digits\nmodel: resnet_small\nattacks: badnet\ndefenses: none\n"


def invoke(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(command, [str(word) for word in words])
    return done.exit_code, done.output


def test_pages_are_written_checked_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchbd.plugin.page.KINDS", ("executor",))
    (tmp_path / "executor").mkdir()
    (tmp_path / "executor" / "gone.md").write_text("nobody")
    assert invoke(tmp_path, "--check")[0] == 1
    assert "1 removed" in invoke(tmp_path)[1]
    assert {path.name for path in tmp_path.rglob("*.md")} >= {
        "index.md",
        "local.md",
        "inprocess.md",
    }
    assert invoke(tmp_path, "--check") == (0, "")
    (tmp_path / "executor" / "local.md").write_text("changed by hand")
    code, output = invoke(tmp_path, "--check")
    assert code == 1 and "local.md is out of date" in output


def test_the_committed_pages_are_up_to_date() -> None:
    assert invoke(DOCS, "--check") == (0, ""), "benchbd pages docs/plugins"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all commands share, so that the attacked model of the defenses is
    trained once.
    """
    home = tmp_path_factory.mktemp("home")
    (home / "p.yaml").write_text(PROTOCOL)
    (home / "imagefolder").mkdir()
    (home / "parquet").mkdir()
    for split in ("train", "test"):
        rows = []
        for label, number in itertools.product(range(2), range(10)):
            file = home / "imagefolder" / split / str(label) / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 16), (128 * label + number, 60, 20 * number)).save(file)
            rows.append({"image": {"bytes": file.read_bytes(), "path": file.name}, "label": label})
        pyarrow.parquet.write_table(
            pyarrow.Table.from_pylist(rows), home / "parquet" / f"{split}-0.parquet"
        )
    tiny = {"recipe.epochs": 1, "dataset.size": 8, "model.width": 4}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        run("badnet", settings=tiny, name=LOOKED_AT)
    return home


def settings(entry: PluginEntry) -> dict[str, object]:
    """By which the command of a page takes a moment."""
    counted = entry.kind in ("attack", "defense", "analysis")
    small = quick(load(entry.kind, entry.name)) if counted else {}
    small.pop("poison_ratio", None)  # for less data than here
    if entry.kind == "analysis":
        return {f"analysis.{name}": value for name, value in small.items()}
    pictures = {"dataset.path": "imagefolder", "dataset.size": 32}
    place = {"model": pictures, "dataset": {"model.width": 4}}.get(
        entry.kind, {"dataset.size": 8, "model.width": 4}
    )
    return (
        {"recipe.epochs": 1}
        | place
        | {f"{entry.kind}.{name}": value for name, value in small.items()}
    )


@pytest.mark.slow
@pytest.mark.parametrize("entry", BUNDLED, ids=lambda entry: f"{entry.kind}-{entry.name}")
def test_the_command_of_a_page_works(
    entry: PluginEntry, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setenv("BENCHBD_DATA", str(home / "empty"))
    block = re.search(r"```sh\nbenchbd (.*)\n```", page(entry))
    assert (block is None) == (entry.card.get("role") == "imported")
    if block is None:
        return
    meant = {
        "ATTACK": "badnet",
        "DATASET": "imagefolder",
        "PROTOCOL": "p.yaml",
        "NAME": LOOKED_AT,
        "dataset.path=FOLDER": f"dataset.path={entry.name}",
    }
    words = [meant.get(word, word) for word in block[1].split()]
    given = (
        ["--dry-run"]
        if entry.kind == "executor"
        else [f"--set={name}={value}" for name, value in settings(entry).items()]
    )
    done = CliRunner().invoke(benchbd, [*words, *given])
    if entry.kind == "dataset" and entry.family == "download":
        assert isinstance(done.exception, DataError)
        assert f"--dataset {entry.name} --set dataset.download=true` fetches" in str(done.exception)
    else:
        assert done.exit_code == 0, done.output or done.exception
