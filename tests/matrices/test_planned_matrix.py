"""How every cell of a plan stands, and every attacked model that it starts from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchbd.errors import ConfigError
from benchbd.executing.executor import Limits, Session, open_executor
from benchbd.matrices.plan import Selection
from benchbd.matrices.planned_matrix import PlannedMatrix
from benchbd.record.attack_files import ATTACK_FILE, MANIFEST_FILE
from benchbd.running.protocol import Protocol


@pytest.fixture
def session() -> Iterator[Session]:
    with open_executor("inprocess", {}, Limits()) as found:
        yield found


@pytest.fixture
def protocol(tiny: Any) -> Protocol:
    return tiny(attacks=["corner"], defenses=["none", "retrains"])  # type: ignore[no-any-return]


def planned(protocol: Protocol, folder: Path, **more: Any) -> PlannedMatrix:
    return PlannedMatrix(protocol, results=folder / "results", records=folder / "record", **more)


def states(matrix: PlannedMatrix) -> tuple[list[str], list[str]]:
    """Of cells, and of attacked models that the cells to do start from."""
    cells = [standing.state for standing in matrix.standings]
    return cells, [attacked.state for attacked in matrix.attacked.values()]


@pytest.mark.slow
def test_an_attacked_model_is_looked_at_where_something_is_to_do(
    protocol: Protocol, tmp_path: Path, matrix_in: Any, session: Session
) -> None:
    assert states(planned(protocol, tmp_path)) == (["missing", "missing"], ["missing"])
    matrix_in(protocol, selection=Selection(defenses=["none"])).run(session)
    assert states(planned(protocol, tmp_path)) == (["reused", "missing"], ["stored"])
    matrix_in(protocol).run(session)
    assert states(planned(protocol, tmp_path)) == (["reused", "reused"], [])
    assert len(planned(protocol, tmp_path).cells()) == 2
    assert states(planned(protocol, tmp_path, rerun=frozenset({"ok"}))) == (
        ["again", "again"],
        ["stored"],
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "state"), [("file", "broken"), ("source", "stale"), ("source, to do again", "again")]
)
def test_an_attacked_model_that_is_not_what_it_was(
    protocol: Protocol, tmp_path: Path, matrix_in: Any, session: Session, damage: str, state: str
) -> None:
    matrix_in(protocol, selection=Selection(defenses=["none"])).run(session)
    (folder,) = (tmp_path / "record").glob("corner-*")
    if damage == "file":
        (folder / ATTACK_FILE).write_bytes(b"")
    else:
        manifest = json.loads((folder / MANIFEST_FILE).read_text())
        sources = manifest["provenance"]["sources"]
        manifest["provenance"]["sources"] = dict.fromkeys(sources, "0" * 64)
        (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    rerun = frozenset({"stale"}) if "again" in damage else frozenset[str]()
    (attacked,) = planned(protocol, tmp_path, rerun=rerun).attacked.values()
    assert attacked.state == state and attacked.reason
    assert attacked.to_make == (state in ("broken", "again"))


def test_words_that_nobody_knows_are_refused(protocol: Protocol, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="faild"):
        planned(protocol, tmp_path, rerun=frozenset({"faild"}))
