"""What plans remember of plugins: what the classes say, and only while nothing has changed."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchbd.errors import PluginNotFound
from benchbd.matrices.known_plugins import KNOWN_FILE, known_plugins
from benchbd.matrices.plan import PlannedCell, plan
from benchbd.plugin.registry import create, forget
from benchbd.running.protocol import Choice, Protocol, parse_protocol
from support.tiny_matrix import PLUGINS, TINY

WIDE = TINY | {
    "attacks": ["clean", "badnet", "own_training"],
    "defenses": ["none", "retrains", "jitter"],
    "poison_ratios": [0.05, 0.1],
}


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the misbehaving plugins that a test may change, registered in this process."""
    folder = tmp_path / "installed"
    shutil.copytree(PLUGINS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "misbehaving", raising=False)
    forget()
    yield folder
    sys.modules.pop("misbehaving", None)
    forget()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the plugins whose classes are asked."""
    names: list[str] = []

    def noted(kind: str, name: str, params: dict[str, Any]) -> Any:
        names.append(name)
        return create(kind, name, params)

    monkeypatch.setattr("benchbd.matrices.known_plugins.create", noted)
    return names


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


def planned(results: Path, **changes: Any) -> list[PlannedCell]:
    protocol = parse_protocol(WIDE | changes, "a test")
    with known_plugins(results) as known:
        return list(plan(protocol, None, known.recall))


def facts(cells: list[PlannedCell]) -> list[tuple[Any, ...]]:
    return [
        (
            cell.key,
            cell.result_name,
            cell.excluded,
            cell.coordinates,
            cell.job.folder_name,
            cell.job.found_as,
            cell.sources,
        )
        for cell in cells
    ]


def by_classes(**changes: Any) -> list[tuple[Any, ...]]:
    protocol: Protocol = parse_protocol(WIDE | changes, "a test")
    return facts(list(plan(protocol)))


def test_the_second_plan_asks_no_class_and_is_the_same(results: Path, asked: list[str]) -> None:
    assert facts(planned(results)) == by_classes()
    assert asked
    asked.clear()
    assert facts(planned(results)) == by_classes()
    assert asked == []


def test_only_what_is_new_is_asked(results: Path, asked: list[str]) -> None:
    planned(results)
    asked.clear()
    more = {"attacks": [*WIDE["attacks"], {"name": "badnet", "params": {"size": 2}}], "seeds": [7]}
    assert facts(planned(results, **more)) == by_classes(**more)
    assert set(asked) == {"badnet"}


@pytest.mark.parametrize("changed", ["misbehaving.py", "another-1.0.dist-info/METADATA"])
def test_a_change_of_a_source_or_of_what_is_installed_asks_again(
    results: Path, installed: Path, asked: list[str], changed: str
) -> None:
    planned(results)
    asked.clear()
    (installed / changed).parent.mkdir(exist_ok=True)
    with (installed / changed).open("a") as file:
        file.write("# changed\n")
    planned(results)
    assert {"badnet", "retrains", "digits", "resnet_small"} <= set(asked)


def test_a_plugin_that_is_gone_is_gone(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned(results)
    monkeypatch.setenv("BENCHBD_NO_PLUGIN", "defense.jitter")
    forget()
    with pytest.raises(PluginNotFound, match="no defense named 'jitter'"):
        planned(results)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b'{"surroundings": "", "plugins": {}}',
        b'{"surroundings": 1, "plugins": [], "more": 2}',
    ],
)
def test_a_damaged_file_counts_as_absent(results: Path, asked: list[str], content: bytes) -> None:
    planned(results)
    whole = (results / KNOWN_FILE).read_bytes()
    (results / KNOWN_FILE).write_bytes(content)
    asked.clear()
    assert facts(planned(results)) == by_classes()
    assert asked
    assert (results / KNOWN_FILE).read_bytes() == whole


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"kind": "attack"},
        {"found_as": "/tmp/other.py"},
        {"record": {"version": "0.0"}},
        {"record": {"name": "other"}},
        {"sources": {"module": "elsewhere"}},
        {"record": 5},
    ],
)
def test_what_is_of_another_plugin_is_not_believed(
    results: Path, asked: list[str], change: dict[str, Any]
) -> None:
    planned(results)
    forge(results, "defense jitter {}", change)
    asked.clear()
    assert facts(planned(results)) == by_classes()
    assert "jitter" in asked


def test_no_path_is_taken_from_it(results: Path) -> None:
    planned(results)
    forge(results, "defense jitter {}", {"record": {"params": {"variant": "../../../out"}}})
    (name,) = {
        cell.result_name.rpartition("/")[0]
        for cell in planned(results, attacks=["clean"])
        if cell.defense.label.endswith("out")
    }
    assert name == "tiny/clean/jitter_.._.._.._out"


def forge(results: Path, key: str, change: dict[str, Any]) -> None:
    """Change what the file says of one plugin."""
    content = json.loads((results / KNOWN_FILE).read_text())
    entry = content["plugins"][key]
    for name, value in change.items():
        entry[name] = entry[name] | value if isinstance(value, dict) else value
    (results / KNOWN_FILE).write_text(json.dumps(content))


def test_what_hangs_on_other_files_is_not_remembered(results: Path, tmp_path: Path) -> None:
    loose = tmp_path / "loose.py"
    loose.write_text(
        "from benchbd.api import Repair, param\n\n\n"
        "class Loose(Repair):\n"
        "    api = 1\n"
        "    strength: int = param(1, 'how much')\n\n"
        "    def repair(self, model, clean, rng):\n"
        "        return model\n"
    )
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"first")
    chosen = [
        ("defense", Choice(name=str(loose))),
        ("attack", Choice(name="blended", params={"image": str(picture)})),
    ]
    with known_plugins(results) as known:
        before = [known.recall(*each).identity for each in chosen]
    loose.write_text(loose.read_text().replace("param(1", "param(2"))
    picture.write_bytes(b"second")
    with known_plugins(results) as known:
        after = [known.recall(*each).identity for each in chosen]
    assert all(one != other for one, other in zip(before, after, strict=True))


def test_where_nothing_can_be_written_the_classes_are_asked(tmp_path: Path) -> None:
    assert facts(planned(tmp_path / "absent")) == by_classes()
    assert not (tmp_path / "absent").exists(), "a plan makes no folder of results"
    (tmp_path / "taken" / KNOWN_FILE).mkdir(parents=True)
    assert facts(planned(tmp_path / "taken")) == by_classes()
