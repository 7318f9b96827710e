"""Stages that travel: where no folder is shared, what a stage needs goes with it, and what it has
made comes home.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchbd.errors import RecordError
from benchbd.executing.stage import AttackSpec, DefenseSpec, read_spec
from benchbd.record.attack_files import ATTACK_FILE, MANIFEST
from benchbd.record.claim import claim, claim_path
from benchbd.record.files import write_bytes, write_json

Files = dict[str, bytes]
"""Contents of files by name; names of what a stage has made begin with `work/` or `results/`."""

NOT_MADE = (".spec.json", ".ended.json")


def attack_folder(spec: Path) -> Path | None:
    """The folder of the attack result that a stage starts from; None for a stage that makes one."""
    content = read_spec(spec)
    return content.attack_folder if isinstance(content, DefenseSpec) else None


def pack_attack(folder: Path) -> Files:
    """The attack result in `folder`."""
    return {name: (folder / name).read_bytes() for name in (ATTACK_FILE, MANIFEST)}


@contextmanager
def claimed(spec: Path) -> Iterator[None]:
    """Hold the claim on the work of a stage that runs where it cannot take it itself. Raises
    `Busy`.
    """
    with claim(claim_path(read_spec(spec).folder)):
        yield


def settle(place: Path, name: str, spec: bytes, attack: Files) -> Path:
    """Write a stage's spec, the content of a file called `name`, so that it works under `place` and
    nowhere else.

    attack: the attack result that it starts from; empty for a stage that makes one.
    """
    for each, content in attack.items():
        write_bytes(place / "attack" / each, content)
    path = write_bytes(place / "work" / name, spec)
    moved = {"folder": path.parent} | (
        {"attack_folder": place / "attack", "results": place / "results"} if attack else {}
    )
    return write_json(path, read_spec(path).model_copy(update=moved).model_dump(mode="json"))


def files_made(place: Path) -> Files:
    """All that a stage has left under `place`, but what only says how it went."""
    paths = [
        path for root in ("work", "results") for path in (place / root).rglob("*") if path.is_file()
    ]
    return {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in paths
        if not path.name.startswith(".") and not path.name.endswith(NOT_MADE)
    }


def bring_home(spec: Path, files: Files) -> None:
    """Write what a stage has made elsewhere into the folders that its spec names here; what says it
    is done comes last.

    What stands beside the results of several cells stays as the first of them has left it. Raises
    `Unwritable`, and `RecordError` for a name that leads out of those folders.
    """
    content = read_spec(spec)
    places = {name: _place_at_home(content, name) for name in files}
    for name in sorted(
        files, key=lambda name: (name.endswith(".json"), name.startswith("results/"), name)
    ):
        if not (_is_for_several(content, name) and places[name].exists()):
            write_bytes(places[name], files[name])


def _is_for_several(spec: AttackSpec | DefenseSpec, name: str) -> bool:
    """Whether a file is among the results and is not the cell's own."""
    return isinstance(spec, DefenseSpec) and not name.startswith(
        ("work/", f"results/{spec.result.removesuffix('.json')}")
    )


def _place_at_home(spec: AttackSpec | DefenseSpec, name: str) -> Path:
    root, _, rest = name.partition("/")
    homes = {"work": spec.folder} | (
        {"results": spec.results} if isinstance(spec, DefenseSpec) else {}
    )
    parts = Path(rest).parts
    if root not in homes or not parts or ".." in parts or Path(rest).is_absolute():
        raise RecordError(
            f"a stage that ran elsewhere sent a file {name!r}, which has no place here; nothing "
            "was written"
        )
    return homes[root] / rest
