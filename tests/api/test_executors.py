"""The door for executors: all that an executor needs beside `benchbd.api`, each name once."""

from __future__ import annotations

import inspect

import benchbd.api
from benchbd.api import executors


def test_its_names_are_sorted_and_there() -> None:
    names = executors.__all__
    assert names == sorted(set(names))
    assert [name for name in names if not hasattr(executors, name)] == []


def test_the_contract_of_executors_is_in_it() -> None:
    assert inspect.isabstract(executors.Executor) and inspect.isabstract(executors.Session)
    assert {"Ended", "Limits", "run_stage", "read_ended"} <= set(executors.__all__)


def test_methods_do_not_see_it() -> None:
    assert not set(executors.__all__) - {"RecordError"} & set(benchbd.api.__all__)
