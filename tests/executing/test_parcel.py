"""Stages that travel: they work where they are settled, and nothing that comes home leads out of
its folders.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from benchbd.errors import RecordError
from benchbd.executing.executor import Limits, Session, open_executor
from benchbd.executing.parcel import (
    attack_folder,
    bring_home,
    claimed,
    files_made,
    pack_attack,
    settle,
)
from benchbd.executing.stage import Ended, claim_path, read_spec, run_stage
from benchbd.matrices.matrix import Matrix
from benchbd.record.claim import Busy, claim
from benchbd.record.files import write_bytes
from support.equal_results import assert_same


class Abroad(Session):
    """Runs every stage in a place of its own, while the folders that its spec names are out of
    reach.
    """

    capacity = 1

    def __init__(self, home: Path, abroad: Path) -> None:
        self.home, self.abroad, self.stages = home, abroad, 0

    def start(self, spec: Path) -> Ended:
        folder, name, content = attack_folder(spec), spec.name, spec.read_bytes()
        attack = pack_attack(folder) if folder else {}
        self.stages += 1
        place = self.abroad / str(self.stages)
        away = self.home.rename(self.home.with_name("out of reach"))
        ended = run_stage(settle(place, name, content, attack))
        away.rename(self.home)
        bring_home(spec, files_made(place))
        shutil.rmtree(place)
        return ended

    def ended(self, handle: Ended) -> Ended:
        return handle

    def close(self) -> None:
        pass


@pytest.mark.slow
def test_a_matrix_whose_stages_all_run_abroad(tiny: Any, tmp_path: Path) -> None:
    protocol = tiny(attacks=["corner"], defenses=["jitter", "retrains"])
    expected, home = tmp_path / "expected", tmp_path / "home"
    with open_executor("inprocess", {}, Limits()) as session:
        Matrix(protocol, results=expected / "results", records=expected / "record").run(session)
    abroad = Abroad(home, tmp_path / "abroad")
    Matrix(protocol, results=home / "results", records=home / "record").run(abroad)
    assert abroad.stages == 3
    assert_same(expected, home)
    assert _names(expected / "record") == _names(home / "record")


def _names(folder: Path) -> set[str]:
    """All files that are meant to stay."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


@pytest.fixture
def spec(tiny: Any, matrix_in: Any, tmp_path: Path) -> Path:
    """The spec of a stage that was not run."""
    specs: dict[Path, bytes] = {}

    class Keeps(Abroad):
        def start(self, spec: Path) -> Ended:
            specs[spec] = spec.read_bytes()
            return Ended(code="failed")

    matrix_in(tiny(attacks=["corner"])).run(Keeps(tmp_path, tmp_path))
    path, content = specs.popitem()
    return write_bytes(path, content)  # a controller that ends takes its own specs away


@pytest.mark.parametrize(
    "name",
    [
        "work/../../out",
        "work//etc/out",
        "results/out",
        "elsewhere/out",
        "out",
        "work/",
        "work/a/../../out",
    ],
)
def test_names_that_lead_elsewhere_are_refused_and_nothing_is_written(
    spec: Path, name: str, tmp_path: Path
) -> None:
    before = set(tmp_path.rglob("*"))
    with pytest.raises(RecordError, match="has no place here"):
        bring_home(spec, {"work/fine": b"fine", name: b"out"})
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_what_is_for_several_cells_stays_as_the_first_left_it(
    tiny: Any, matrix_in: Any, tmp_path: Path
) -> None:
    """And the cell's own files are written whenever they come."""
    for content in (b"first", b"second"):
        specs: list[Path] = []

        class Keeps(Abroad):
            def start(self, spec: Path) -> Ended:
                if attack_folder(spec) is None:
                    return run_stage(spec)
                bring_home(spec, {"results/tiny/corner/strip.png": content, "work/log": content})  # noqa: B023
                specs.append(read_spec(spec).folder)  # noqa: B023
                return Ended(code="failed")

        matrix_in(tiny(attacks=["corner"]), rerun=frozenset({"failed"})).run(
            Keeps(tmp_path, tmp_path)
        )
        assert (tmp_path / "results/tiny/corner/strip.png").read_bytes() == b"first"
        assert (specs[0] / "log").read_bytes() == content


def test_work_that_runs_elsewhere_is_claimed_here(spec: Path) -> None:
    with claimed(spec):
        with pytest.raises(Busy), claim(claim_path(read_spec(spec).folder)):
            pass
    with claim(claim_path(read_spec(spec).folder)), pytest.raises(Busy), claimed(spec):
        pass
