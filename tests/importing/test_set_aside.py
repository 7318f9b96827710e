"""Options beside the parameters: set aside unread, while the parameters are read."""

from __future__ import annotations

import argparse
import datetime
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchbd.errors import UnsafeFile
from benchbd.importing.foreign_pickle import read_foreign
from benchbd.importing.set_aside import STAND_INS, SetAside


@pytest.mark.parametrize(
    "beside",
    [
        argparse.Namespace(lr=0.1, nested=argparse.Namespace(path=Path("a"))),
        SimpleNamespace(a=1),
        Path("logs"),
        datetime.datetime(2020, 1, 1),
        datetime.timedelta(seconds=3),
    ],
)
@pytest.mark.parametrize("archive", [True, False])
def test_objects_are_set_aside(tmp_path: Path, beside: Any, archive: bool) -> None:
    content = {"args": beside, "state_dict": {"w": torch.arange(3)}}
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=archive)
    found = read_foreign(tmp_path / "a.pt")
    assert found["state_dict"]["w"].tolist() == [0, 1, 2]
    assert isinstance(found["args"], SetAside) and repr(found["args"]) == "set aside unread"
    assert not vars(found["args"])


def test_tables_of_other_classes_are_read_as_tables(tmp_path: Path) -> None:
    torch.save({"log": defaultdict(list, {"loss": [0.5]})}, tmp_path / "a.pt")
    assert read_foreign(tmp_path / "a.pt")["log"] == {"loss": [0.5]}


def test_whatever_else_is_still_refused(tmp_path: Path) -> None:
    torch.save({"f": len, "args": argparse.Namespace()}, tmp_path / "a.pt")
    with pytest.raises(UnsafeFile, match=r"would import __builtin__\.len;"):
        read_foreign(tmp_path / "a.pt")


def test_no_stand_in_is_the_class_it_stands_for() -> None:
    assert {made.__module__ for made, _ in STAND_INS} == {"benchbd.importing.set_aside"}
