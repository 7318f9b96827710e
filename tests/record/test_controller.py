"""Who leads a matrix is known by a claim, and what it has left by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchbd.record.claim import Busy
from benchbd.record.controller import (
    CONTROLLERS_FOLDER,
    controller_of,
    is_present,
    presences,
    present,
    spec_name,
)


def test_a_controller_is_there_for_as_long_as_it_leads(tmp_path: Path) -> None:
    with present(tmp_path, "me"):
        assert is_present(tmp_path, "me") and not is_present(tmp_path, "you")
        with present(tmp_path, "you"):
            assert len(list(presences(tmp_path))) == 2
        assert is_present(tmp_path, "me"), "one that leaves takes nobody with it"
    assert not is_present(tmp_path, "me")
    assert not (tmp_path / CONTROLLERS_FOLDER).exists()


def test_one_that_fails_is_gone_too(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), present(tmp_path, "me"):
        raise ZeroDivisionError
    assert not is_present(tmp_path, "me")


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    with present(tmp_path, "me"), pytest.raises(Busy), present(tmp_path, "me"):
        pass


@pytest.mark.parametrize(
    ("name", "controller"),
    [
        (spec_name("attack", "ab12"), "ab12"),
        (spec_name("defense", "ab12"), "ab12"),
        ("attack-ab12.spec.ended.json", "ab12"),
        ("attack-ab12.spec.json.tmp", ""),
        ("manifest.json", ""),
        ("attack-.spec.json", ""),
    ],
)
def test_what_it_has_left_bears_its_name(name: str, controller: str) -> None:
    assert controller_of(Path("record") / "a" / name) == controller
