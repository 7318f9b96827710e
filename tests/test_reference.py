"""The reference is complete, up to date and true: every example in it is run."""

from __future__ import annotations

import doctest
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import reference

import benchbd
import benchbd.api
import benchbd.api.executors
from benchbd.api import Attack, DataSet, Model, Recipe, create
from benchbd.executing.stage import AttackSpec, write_spec
from benchbd.running.attack_job import AttackJob

DOORS = (benchbd, benchbd.api, benchbd.api.executors)
NAMES = [(door, name) for door in DOORS for name in door.__all__ if name != "__version__"]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def test_the_committed_pages_are_up_to_date() -> None:
    assert reference.main(["--check"]) == 0, "python docs/reference.py"


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_every_name_stands_on_one_page(door: ModuleType) -> None:
    assert sorted(reference.documented(door)) == sorted(n for d, n in NAMES if d is door)


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What examples may use, in an empty folder: the lines that stand above all of them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCHBD_DATA", raising=False)
    prepared: dict[str, Any] = {"__name__": "example"}
    exec(reference.PREAMBLE, prepared)
    exec("import benchbd; from benchbd.api.executors import *", prepared)
    return prepared | {"spec": planned()}


def planned() -> Path:
    """The spec of a stage that makes an attack result."""
    parts = [create(*each) for each in PLANNED.items()]
    job = AttackJob(*parts, Recipe(), seed=0)
    spec = AttackSpec(ingredients=job.ingredients, found_as=job.found_as, folder=Path("work"))
    return write_spec(spec, "example")


PLANNED: dict[type[Any], str] = {DataSet: "digits", Model: "resnet_small", Attack: "clean"}


@pytest.mark.slow
@pytest.mark.parametrize(("door", "name"), NAMES, ids=lambda part: getattr(part, "__name__", part))
def test_the_example_is_true(door: ModuleType, name: str, names: dict[str, Any]) -> None:
    example = reference.example_of(reference.docstring(door, name))
    assert example, f"{name} has no example"
    test = doctest.DocTestParser().get_doctest(example, names, name, None, None)
    told: list[str] = []
    doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(test, out=told.append)
    assert told == [], "".join(told)
