"""The folder of a small matrix: what lies in it, and what is wrong with it when it is finished."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

import benchbd  # noqa: F401 - first, so that threads wait passively

# isort: split
import torch
import yaml

from benchbd.matrices.matrix import Matrix
from benchbd.record.attack_files import MANIFEST_FILE, is_stored
from benchbd.record.cells import ResultStore
from benchbd.record.claim import is_held
from benchbd.record.controller import controller_of
from benchbd.record.defense_result import read_defense_result
from benchbd.record.files import is_temporary, read_json
from benchbd.record.seal import require_seal
from benchbd.record.tensor_files import read_tensors
from benchbd.running.protocol import load_protocol
from support.command_line import benchbd as typed
from support.equal_results import assert_same
from support.tiny_matrix import TINY

PROTOCOL = TINY | {
    "name": "kills",
    "clean_budget": 0.2,
    "seeds": [0, 1],
    "attacks": ["badnet"],
    "defenses": ["none", {"name": "ft", "params": {"epochs": 1}}],
}
"""Digits of 8x8 pixels and a narrow `resnet_small`, one epoch each: six stages, four cells."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def prepare(store: Path) -> None:
    store.mkdir()
    (store / "kills.yaml").write_text(yaml.safe_dump(PROTOCOL))


def claims(store: Path) -> Iterator[Path]:
    """On work of stages."""
    yield from store.glob("record/*/.claim")
    yield from store.glob("record/*/defense/*/.claim")


def claimed(store: Path) -> set[str]:
    """The content of each claim, which no other claim has."""
    found = set()
    for path in claims(store):
        with suppress(OSError):
            found.add(path.read_text())
    return found - {""}


def abandoned(store: Path) -> Iterator[Path]:
    """The folders of the work that dead processes were at."""
    return (path.parent for path in list(claims(store)) if path.exists() and not is_held(path))


def stored(store: Path, work: Path) -> bool:
    """Whether what a stage makes lies there whole; a defense's folder ends with its key."""
    if work.parent.name == "defense":
        return any(store.glob(f"results/*/*/*/*-{work.name[-8:]}????.json"))
    with suppress(Exception):
        return is_stored(work, read_json(work / MANIFEST_FILE)["key"])
    return False


def stamps(store: Path) -> dict[Path, tuple[int, int]]:
    """The inode and the moment of the last writing of all that is stored."""
    done = [path.parent for path in store.glob("record/*/attack_result.pt")]
    files = [folder / "attack_result.pt" for folder in done if stored(store, folder)]
    files += store.glob("results/*/*/*/*.json")
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def unfinished(store: Path) -> Counter[str]:
    """What a process that ends takes away, or another one after it."""
    found = Counter[str]()
    for path in [*store.glob("record/**/*"), *store.glob("results/**/*")]:
        if path.name.endswith((".claim", ".takeover")):
            found["claims"] += 1
        elif controller_of(path):
            found["descriptions of stages"] += 1
        elif is_temporary(path) or path.suffix == ".part":
            found["temporary files"] += 1
    return found


class Fault(StrEnum):
    """What may be wrong after kills, in the order of the table."""

    CELLS = "cells that are missing, more than one, or not ok"
    FILES = "files that are damaged, not sealed or not finite"
    RESULTS = "stores whose results differ from the undisturbed run"
    NETWORKS = "networks that differ from the undisturbed run"
    AGAIN = "stored results that were made once more"
    LEFT_TO_DO = "cells that a plan would make once more"
    CLAIMS = "left before `benchbd clean`: claims"
    SPECS = "left before `benchbd clean`: descriptions of stages"
    DRAFTS = "left before `benchbd clean`: temporary files"
    CLAIMS_AFTER = "left after `benchbd clean`: claims"
    SPECS_AFTER = "left after `benchbd clean`: descriptions of stages"
    DRAFTS_AFTER = "left after `benchbd clean`: temporary files"
    ORPHANS = "processes that outlived their controller"
    BAD_ENDS = "controllers that ended badly or hung"


def faults(store: Path, whole: Path) -> Counter[str]:
    """What is wrong with a store that is said to be finished; `whole` is the undisturbed one."""
    found = Counter[str]()
    found[Fault.CELLS] = amiss(store, whole)
    found[Fault.FILES] = damaged(store)
    try:
        assert_same(whole, store)
    except AssertionError:
        found[Fault.RESULTS] = 1
    found[Fault.NETWORKS] = differing_networks(store, whole)
    matrix = Matrix(
        load_protocol(str(store / "kills.yaml")),
        results=store / "results",
        records=store / "record",
    )
    found[Fault.LEFT_TO_DO] = len(matrix.todo())
    for what, count in unfinished(store).items():
        found[f"left before `benchbd clean`: {what}"] = count
    cleaned = typed("clean", "--results", "results", "--yes", cwd=store)
    found[Fault.BAD_ENDS] = int(cleaned.returncode != 0)
    for what, count in unfinished(store).items():
        found[f"left after `benchbd clean`: {what}"] = count
    return found


def amiss(store: Path, whole: Path) -> int:
    """Cells that are stored not once, or are no numbers."""
    theirs, ours = (
        Counter(path.relative_to(each).as_posix() for path in each.glob("results/**/*.json"))
        for each in (whole, store)
    )
    bad = sum(cell.status.code != "ok" for cell in ResultStore(store / "results"))
    return ((theirs - ours) + (ours - theirs)).total() + bad


def damaged(store: Path) -> int:
    """Files that cannot be read, whose seal or digest does not fit, or that are not finite."""
    bad = len(ResultStore(store / "results").faults())
    for path in store.glob("record/**/*_result.pt"):
        read = read_tensors if path.name == "attack_result.pt" else read_defense_result
        try:
            read(path)
            bad += not require_seal(path)
        except Exception as error:
            say(f"{type(error).__name__}: {error}")
            bad += 1
    attacks = [path.parent for path in store.glob("record/*/attack_result.pt")]
    return bad + sum(not stored(store, folder) for folder in attacks)


def differing_networks(store: Path, whole: Path) -> int:
    """Of the attack and the defense results, those with other weights, or that are missing."""
    count = 0
    for path in whole.glob("record/**/*_result.pt"):
        try:
            theirs, ours = (
                read_tensors(each, aside=("tensors",))["model"]
                for each in (path, store / path.relative_to(whole))
            )
            same = theirs.keys() == ours.keys() and all(
                torch.equal(theirs[name], ours[name]) for name in theirs
            )
        except Exception:
            same = False
        count += not same
    return count
