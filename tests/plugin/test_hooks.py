"""Observers: told one after the other; one that raises is switched off, reported, and
harms nobody.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchbd import matrix, run
from benchbd.api import hookimpl
from benchbd.errors import ContractBroken
from benchbd.plugin import hooks
from benchbd.plugin.hooks import Observers, observer_entries, observer_fault
from benchbd.plugin.points import DeclaredPoint

TINY = {"recipe.epochs": 1, "dataset.size": 8, "model.width": 2, "attack.size": 2}


seen: list[Any] = []


class Watcher:
    @hookimpl
    def cell_started(self, defense: str) -> None:
        seen.append(defense)

    @hookimpl
    def cell_finished(self, cell: dict[str, Any]) -> None:
        seen.append(cell["status"]["code"])


class Clumsy:
    @hookimpl
    def cell_started(self) -> None:
        raise ZeroDivisionError("clumsy")


class Mistaken:
    @hookimpl
    def cell_started(self, colour: str) -> None: ...


def unwilling() -> None:
    return None


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Any:
    def these(**targets: str) -> None:
        found = tuple(
            DeclaredPoint("benchbd.hooks", name, target, "dist", "1.0")
            for name, target in targets.items()
        )
        monkeypatch.setattr(hooks, "points", lambda: {"benchbd.hooks": found})

    seen.clear()
    return these


def here(cls: object) -> str:
    return f"{__name__}:{cls.__qualname__}"  # type: ignore[attr-defined]


def test_one_that_raises_is_switched_off_and_the_rest_goes_on(install: Any) -> None:
    install(
        clumsy=here(Clumsy),
        watcher=here(Watcher),
        unwilling=here(unwilling),
        absent="no_such_module:X",
    )
    observers = Observers.from_packages()
    for _ in range(2):
        observers.tell("cell_started", attack="badnet", defense="ft", seed=0)
    assert seen == ["ft", "ft"]
    assert set(observers.switched_off) == {"dist/clumsy", "dist/absent"}
    first, second = sorted(observers.complaints(), reverse=True)
    assert first.startswith("the observer dist/clumsy raised and was switched off:\nTraceback")
    assert first.rstrip().endswith("ZeroDivisionError: clumsy")
    assert "No module named 'no_such_module'" in second


def test_wrong_arguments_are_refused_with_both_signatures(install: Any) -> None:
    with pytest.raises(ContractBroken, match=r"hook 'cell_started'\n.*colour"):
        Observers().add(Mistaken())
    install(mistaken=here(Mistaken), absent="no_such_module:X", watcher=here(Watcher))
    faults = {
        entry.name: fault
        for entry in observer_entries()
        if (fault := observer_fault(entry)) is not None
    }
    assert {name: fault.reason for name, fault in faults.items()} == {
        "mistaken": "contract",
        "absent": "import-error",
    }
    assert all(fault.trace.startswith("Traceback") for fault in faults.values())


@pytest.mark.slow
def test_run_and_matrix_are_watched(
    install: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    install(watcher=here(Watcher), clumsy=here(Clumsy))
    run("badnet", ["none", "ft"], settings=TINY | {"defense.epochs": 1})
    assert seen == ["none", "ok", "ft", "ok"]
    (tmp_path / "p.yaml").write_text(
        "name: p\ndataset: {name: digits, params: {size: 8}}\nmodel: {name: resnet_small, params: "
        "{width: 2}}\n"
        "recipe: {epochs: 1}\nseeds: [0]\nclean_budget: 0.2\ndefenses: [none]\n"
        "attacks: [{name: badnet, params: {size: 9}}, blended]\n"
    )
    seen.clear()
    matrix("p.yaml", executor="inprocess")
    assert sorted(seen) == [
        "n/a",
        "none",
        "ok",
    ]  # a patch of 9 pixels does not fit, so its defense never starts


def test_nothing_is_written_unless_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCHBD_LOG", raising=False)
    monkeypatch.delenv("BENCHBD_TENSORBOARD", raising=False)
    assert not Observers.from_packages()
    assert list(tmp_path.iterdir()) == []
