"""Files that nobody needs any more: those of processes that have died, remembered work, and records
that belong to no cell. Work on which a claim is held is never among them.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from benchbd.errors import RecordError
from benchbd.matrices.plan import plan
from benchbd.record.attack_files import MANIFEST_FILE
from benchbd.record.cells import ResultStore
from benchbd.record.claim import Busy, claim, claim_path, is_held, take_away
from benchbd.record.controller import controller_of, is_present, presences, present
from benchbd.record.defense_result import CELL_FILE
from benchbd.record.files import is_temporary, read_json, writer_lives
from benchbd.record.remembered import REMEMBERED_FOLDER
from benchbd.running.protocol import Protocol

LeftoverKind = Literal["claim", "spec", "temporary file", "remembered work", "record"]

UNTOUCHED_SECONDS = 3600.0
"""Seconds after its last change from which on a temporary file counts as left over, if its writer
cannot be checked from here.
"""


@dataclass(frozen=True)
class Leftover:
    """A file, or the folder of a record. size: the bytes of all its files."""

    kind: LeftoverKind
    path: Path
    size: int

    @classmethod
    def of(cls, kind: LeftoverKind, path: Path) -> Leftover:
        """Return the leftover at `path`, with its size."""
        return cls(kind, path, sum(_size(file) for file in _files_in(path)))

    def remove(self) -> bool:
        """Remove it and return whether that was possible. A record on which somebody works
        stays.
        """
        try:
            if self.kind == "record":
                with claim(claim_path(self.path)):
                    if _is_worked_on(self.path, beside=claim_path(self.path)):
                        return False
                    shutil.rmtree(self.path)
            elif self.kind == "claim":
                take_away(self.path)
            else:
                self.path.unlink(missing_ok=True)
        except (OSError, RecordError, Busy):
            return False
        return True


@dataclass(frozen=True)
class KnownWork:
    """The keys of the attacked models and cells that protocols ask for or that results stem
    from.
    """

    attacks: frozenset[str]
    cells: frozenset[str]

    @classmethod
    def of(cls, protocols: Iterable[Protocol], results: Path) -> KnownWork:
        """Return the known work of these protocols and results. Raises `ConfigError` or
        `PluginError` for a protocol that cannot be planned.
        """
        planned = [cell for protocol in protocols for cell in plan(protocol)]
        stored = list(ResultStore(results))
        return cls(
            frozenset(c.job.key for c in planned) | frozenset(c.cell.attack_key for c in stored),
            frozenset(c.key for c in planned) | frozenset(c.key for c in stored),
        )


@contextmanager
def act_as_controller(records: Path, results: Path, controller: str) -> Iterator[None]:
    """Be the controller of a matrix inside the block. Before it, what dead processes left is
    removed. After it, the specs of this controller are removed too, and what was left by stages
    that died with another controller in the meantime.

    Raises `Unwritable`, and `Busy` where another controller has that name.
    """
    with present(records, controller):
        for left in leftovers_of_dead_processes(records, results):
            left.remove()
        try:
            yield
        finally:
            for left in leftovers_of_dead_processes(records, results, ending=controller):
                left.remove()


def leftovers_of_dead_processes(
    records: Path, results: Path, ending: str = ""
) -> Iterator[Leftover]:
    """Yield claims, specs and temporary files of dead processes, and the specs of the controller
    that is `ending`.
    """
    specs = stale_specs(records, ending)
    return chain(dead_claims(records), specs, dead_temporaries(records, results))


def dead_claims(records: Path) -> Iterator[Leftover]:
    """Yield claims on work whose owner has died, stages' or remembered, claims of dead controllers,
    and what is left of one that died while it took a claim over.
    """
    patterns = (".claim", ".*.claim", ".*.takeover")
    found = chain.from_iterable(_named(records, pattern) for pattern in patterns)
    for path in chain(found, presences(records)):
        if not is_held(path):
            yield Leftover.of("claim", path)


def stale_specs(records: Path, ending: str = "") -> Iterator[Leftover]:
    """Yield specs of controllers that are gone, unless their stage is still running, and all specs
    of the one that is `ending`.
    """
    for path in _named(records, "*.json"):
        controller = controller_of(path)
        if controller and (
            controller == ending
            or not (is_present(records, controller) or is_held(claim_path(path.parent)))
        ):
            yield Leftover.of("spec", path)


def dead_temporaries(*folders: Path) -> Iterator[Leftover]:
    """Yield temporary files whose writer is known to be dead, or has been silent for too long."""
    for path in chain.from_iterable(map(_files_in, folders)):
        if is_temporary(path) and _is_dead(path):
            yield Leftover.of("temporary file", path)


def remembered_work(records: Path) -> Iterator[Leftover]:
    """Yield stored work that is shared between results, such as surrogates. It is made again when
    it is needed.
    """
    folder = records / REMEMBERED_FOLDER
    for path in sorted(folder.glob("*.pt")):
        if not is_held(folder / f".{path.name}.claim"):
            yield Leftover.of("remembered work", path)


def unknown_records(records: Path, known: KnownWork) -> Iterator[Leftover]:
    """Yield attacked models that belong to no known cell, and such defenses of known attacked
    models.
    """
    for manifest in sorted(records.glob(f"*/{MANIFEST_FILE}")):
        if _key_in(manifest) not in known.attacks:
            yield from _unless_worked_on(manifest.parent)
            continue
        for cell in sorted(manifest.parent.glob(f"defense/*/{CELL_FILE}")):
            if _key_in(cell) not in known.cells:
                yield from _unless_worked_on(cell.parent)


def _unless_worked_on(folder: Path) -> Iterator[Leftover]:
    if not folder.is_symlink() and not _is_worked_on(folder):
        yield Leftover.of("record", folder)


def _is_worked_on(folder: Path, beside: Path | None = None) -> bool:
    """Return whether a claim is held in the folder or below it, other than `beside`, which is our
    own.
    """
    return any(is_held(path) for path in folder.rglob(".claim") if path != beside)


def _is_dead(path: Path) -> bool:
    lives = writer_lives(path)
    if lives is not None:
        return not lives
    try:
        silent = time.time() - path.lstat().st_mtime > UNTOUCHED_SECONDS
    except OSError:  # the file was removed, or moved to its final name
        return False
    return silent and not is_held(claim_path(path.parent))


def _key_in(path: Path) -> str | None:
    """Return the key in a manifest or a cell, or None where it cannot be read."""
    try:
        return str(read_json(path)["key"])
    except (RecordError, LookupError, TypeError):
        return None


def _named(records: Path, pattern: str) -> Iterator[Path]:
    """Yield the files of that name in the folders of attacked models, of their defenses and of what
    is remembered.
    """
    yield from records.glob(f"*/{pattern}")
    yield from records.glob(f"*/defense/*/{pattern}")


def _files_in(path: Path) -> Iterator[Path]:
    """Yield a file, or all files below a folder. Links are not followed."""
    if not path.is_dir():
        yield path
    for place, _, names in os.walk(path):
        yield from (Path(place, name) for name in names)


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0
