"""What is left of the dead is found and taken away; what the living hold is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchbd.matrices.leftovers import (
    KnownWork,
    Leftover,
    act_as_controller,
    dead_claims,
    dead_temporaries,
    remembered_work,
    stale_specs,
    unknown_records,
)
from benchbd.record.claim import claim, claim_path
from benchbd.record.controller import present, spec_name
from benchbd.record.files import write_bytes
from support.made_cells import make_cell, store

NOTHING = KnownWork(frozenset(), frozenset())


def paths(found: object) -> list[Path]:
    return sorted(left.path for left in found)  # type: ignore[attr-defined]


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return tmp_path / "record"


def spec_of(records: Path, controller: str, work: str = "patch-pictures-net") -> list[Path]:
    """A spec and how its stage ended."""
    spec = records / work / spec_name("attack", controller)
    return [write_bytes(path, b"{}") for path in (spec.with_suffix(".ended.json"), spec)]


def half_written(folder: Path) -> Path:
    """The temporary file of a process that was killed while it wrote."""
    program = "import os, sys\nfrom benchbd.record.files import *\n"
    program += (
        "write(Path(sys.argv[1]), lambda file: (file.write(b'x' * 9), file.flush(), os._exit(0)))"
    )
    subprocess.run([sys.executable, "-c", program, folder / "a.json"], check=True)
    (left,) = folder.iterdir()
    return left


def test_specs_of_the_dead(records: Path) -> None:
    gone, working = spec_of(records, "aa"), spec_of(records, "bb")
    at_work = spec_of(records, "cc", "patch-pictures-net/defense/mend-12345678")
    write_bytes(records / "patch-pictures-net" / "manifest.json", b"{}")
    with present(records, "bb"), claim(claim_path(at_work[0].parent)):
        assert paths(stale_specs(records)) == gone
    assert paths(stale_specs(records)) == sorted([*gone, *working, *at_work])


def test_a_controller_that_was_killed_is_gone(records: Path) -> None:
    specs = spec_of(records, "aa")
    program = "import os, sys\nfrom benchbd.record.controller import *\n"
    program += "with present(Path(sys.argv[1]), 'aa'): os._exit(0)"
    subprocess.run([sys.executable, "-c", program, records], check=True)
    assert paths(dead_claims(records)) == [records / ".controllers" / "aa.claim"]
    assert paths(stale_specs(records)) == specs


def test_claims_of_the_dead(records: Path) -> None:
    places = [records / "a", records / "a" / "defense" / "b", records / "c"]
    program = "import os, sys\nfrom benchbd.record.claim import *\n"
    program += "held = [claim(claim_path(Path(place))) for place in sys.argv[1:]]\n"
    program += "for each in held: each.__enter__()\nos._exit(0)"
    subprocess.run([sys.executable, "-c", program, *places[:2]], check=True)
    with claim(claim_path(places[2])):
        assert paths(dead_claims(records)) == [claim_path(place) for place in places[:2]]
        for left in dead_claims(records):
            assert left.remove()
        assert [path.parent for path in records.rglob(".claim")] == [places[2]]


def test_claims_of_the_dead_on_remembered_work_and_in_takeovers(records: Path) -> None:
    """Of a process that died when the work was stored and its claim not taken back, and of one that
    died while it took over another's claim.
    """
    remembered = records / ".remembered" / ".surrogate.pt.claim"
    program = "import os, sys\nfrom benchbd.record.claim import *\n"
    program += "with claim(Path(sys.argv[1])): os._exit(0)"
    subprocess.run([sys.executable, "-c", program, remembered], check=True)
    old, fresh = (write_bytes(records / name / "..claim.takeover", b"") for name in "ab")
    os.utime(old, (time.time() - 120,) * 2)
    with claim(records / ".remembered" / ".encoder.pt.claim"):
        assert paths(dead_claims(records)) == [remembered, old]
        for left in dead_claims(records):
            assert left.remove()
        assert not remembered.exists() and not old.exists() and fresh.exists()


def test_a_controller_of_another_machine_counts_as_living_until_it_is_silent(records: Path) -> None:
    specs = spec_of(records, "aa")
    presence = records / ".controllers" / "aa.claim"
    with present(records, "aa"):
        owner = json.loads(presence.read_text())
    write_bytes(presence, json.dumps(owner | {"host": "elsewhere"}).encode())
    assert paths(stale_specs(records)) == []
    os.utime(presence, (time.time() - 120,) * 2)
    assert paths(dead_claims(records)) == [presence]
    assert paths(stale_specs(records)) == specs


def test_temporary_files_of_the_dead(tmp_path: Path) -> None:
    left = half_written(tmp_path)
    assert left.name.startswith(".a.json.") and left.suffix == ".part"
    assert list(dead_temporaries(tmp_path)) == [Leftover("temporary file", left, 9)]

    def look(file: object) -> None:
        assert paths(dead_temporaries(tmp_path)) == [left], (
            "what this process writes is no leftover"
        )

    write_bytes(tmp_path / "b", b"")
    from benchbd.record.files import write

    write(tmp_path / "b.json", look)


@pytest.mark.parametrize(("age", "held", "counts"), [(60, 0, 0), (7200, 0, 1), (7200, 1, 0)])
def test_temporary_files_from_elsewhere_must_be_old_and_nobody_at_work(
    tmp_path: Path, age: int, held: int, counts: int
) -> None:
    left = tmp_path / ".a.json.00000000-1-1.abcdefgh.part"
    left.touch()
    os.utime(left, (time.time() - age,) * 2)
    if held:
        with claim(claim_path(tmp_path)):
            assert list(dead_temporaries(tmp_path)) == []
    else:
        assert len(list(dead_temporaries(tmp_path))) == counts


def test_who_leads_takes_away_what_the_dead_left_and_what_is_its_own(
    records: Path, tmp_path: Path
) -> None:
    spec_of(records, "aa")
    temporary = half_written(tmp_path / "results")
    with present(records, "bb"):
        others = spec_of(records, "bb")
        with act_as_controller(records, tmp_path / "results", "cc"):
            assert paths(stale_specs(records)) == [] and not temporary.exists()
            own = spec_of(records, "cc")
        assert not any(path.exists() for path in own)
        assert all(path.exists() for path in others)
    assert not (records / ".controllers").exists()


def test_remembered_work_but_not_what_is_being_made(records: Path) -> None:
    one, two = (write_bytes(records / ".remembered" / f"{n}.pt", b"xyz") for n in "ab")
    with claim(two.with_name(f".{two.name}.claim")):
        assert list(remembered_work(records)) == [Leftover("remembered work", one, 3)]
    assert paths(remembered_work(records)) == [one, two]


def record(records: Path, name: str, key: str, **defenses: str) -> Path:
    folder = records / name
    write_bytes(folder / "manifest.json", json.dumps({"key": key}).encode())
    for defense, its in defenses.items():
        write_bytes(folder / "defense" / defense / "cell.json", json.dumps({"key": its}).encode())
    return folder


def test_records_that_belong_to_no_cell(records: Path, tmp_path: Path) -> None:
    cell = make_cell()
    known = KnownWork.of([], store([cell], tmp_path / "results"))
    kept = record(records, "kept", cell.cell.attack_key, mend=cell.key, other="f" * 64)
    other = record(records, "other", "e" * 64, mend=cell.key)
    write_bytes(records / "notes" / "of_mine.txt", b"no record")
    assert paths(unknown_records(records, known)) == [kept / "defense" / "other", other]


def test_a_record_that_is_being_worked_on_stays(records: Path) -> None:
    folder = record(records, "other", "e" * 64, mend="f" * 64)
    (left,) = unknown_records(records, NOTHING)
    for at_work in (folder, folder / "defense" / "mend"):
        with claim(claim_path(at_work)):
            assert paths(unknown_records(records, NOTHING)) == []
            assert not left.remove() and folder.exists()
    assert left.size == sum(path.stat().st_size for path in folder.rglob("*.json"))
    assert left.remove() and not folder.exists()


def test_a_link_is_not_followed(records: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    record(tmp_path, "precious", "e" * 64)
    folder = record(records, "other", "e" * 64)
    (folder / "link").symlink_to(precious)
    (records / "linked").symlink_to(precious)
    for left in unknown_records(records, NOTHING):
        assert left.remove()
    assert (precious / "manifest.json").exists() and not folder.exists()
