"""Stages that run where no folder is shared: the files that a stage needs are sent with it, and the
files that it makes are brought back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchbd.errors import RecordError
from benchbd.executing.stage import AttackSpec, DefenseSpec, read_spec
from benchbd.record.attack_files import ATTACK_FILE, MANIFEST_FILE
from benchbd.record.claim import claim, claim_path
from benchbd.record.files import write_bytes, write_json

Files = dict[str, bytes]
"""The contents of files by name. The name of a file that a stage has made begins with `work/` or
`results/`.
"""

NOT_MADE = (".spec.json", ".ended.json")


def attack_folder(spec: Path) -> Path | None:
    """Return the folder of the attack result from which the stage of `spec` starts, or None for a
    stage that makes one.

    Raises `RecordError` when there is no such spec.

    >>> attack_folder(spec) is None
    True
    """
    content = read_spec(spec)
    return content.attack_folder if isinstance(content, DefenseSpec) else None


def pack_attack(folder: Path) -> Files:
    """Return the files of the attack result in `folder`, by name, so that they can be sent to where
    a stage runs.

    >>> Path("folder").mkdir()
    >>> for name in ("attack_result.pt", "manifest.json"):
    ...     _ = Path("folder", name).write_bytes(b"content")
    >>> sorted(pack_attack(Path("folder")))
    ['attack_result.pt', 'manifest.json']
    """
    return {name: (folder / name).read_bytes() for name in (ATTACK_FILE, MANIFEST_FILE)}


@contextmanager
def claimed(spec: Path) -> Iterator[None]:
    """Hold the claim on the work of the stage of `spec` inside the `with` block, for a stage that
    runs where it cannot take the claim itself. Raises `Busy` when another process does that work.

    >>> with claimed(spec):
    ...     with claimed(spec):
    ...         pass
    Traceback (most recent call last):
        ...
    benchbd.record.claim.Busy: work is being worked on by process ...; wait for it, or choose
    another place
    """
    with claim(claim_path(read_spec(spec).folder)):
        yield


def settle(place: Path, name: str, spec: bytes, attack: Files) -> Path:
    """Write the spec of a stage so that the stage works only in the folder `place`, and return its
    new path. This is done where the stage runs, if that place shares no folder with the one where
    it was planned.

    name, spec: the name and the content of the file of the spec. attack: the files of the attack
    result from which the stage starts, as `pack_attack` returns them; empty for a stage that makes
    one.

    >>> settle(Path("elsewhere"), spec.name, spec.read_bytes(), {}).as_posix()
    'elsewhere/work/attack-example.spec.json'
    """
    for each, content in attack.items():
        write_bytes(place / "attack" / each, content)
    path = write_bytes(place / "work" / name, spec)
    moved = {"folder": path.parent} | (
        {"attack_folder": place / "attack", "results": place / "results"} if attack else {}
    )
    return write_json(path, read_spec(path).model_copy(update=moved).model_dump(mode="json"))


def files_made(place: Path) -> Files:
    """Return all files that a stage has left in the folder `place`, by name, except for those that
    only say how it went.

    >>> Path("elsewhere/work").mkdir(parents=True)
    >>> _ = Path("elsewhere/work/attack_result.pt").write_bytes(b"content")
    >>> files_made(Path("elsewhere"))
    {'work/attack_result.pt': b'content'}
    """
    paths = [
        path for root in ("work", "results") for path in (place / root).rglob("*") if path.is_file()
    ]
    return {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in paths
        if not path.name.startswith(".") and not path.name.endswith(NOT_MADE)
    }


def bring_home(spec: Path, files: Files) -> None:
    """Write the files that a stage has made elsewhere into the folders that its `spec` names here.
    The file that marks the work as done is written last.

    files: as `files_made` returns them. A file that several cells share stays as the first of them
    left it. Raises `Unwritable`, and `RecordError` for a name that leads out of those folders.

    >>> bring_home(spec, {"work/attack_result.pt": b"content"})
    >>> spec.with_name("attack_result.pt").read_bytes()
    b'content'
    >>> bring_home(spec, {"work/../../escaped": b""})
    Traceback (most recent call last):
        ...
    benchbd.errors.RecordError: a stage that ran elsewhere sent a file 'work/../../escaped', ...
    """
    content = read_spec(spec)
    places = {name: _place_at_home(content, name) for name in files}
    for name in sorted(
        files, key=lambda name: (name.endswith(".json"), name.startswith("results/"), name)
    ):
        if not (_is_for_several(content, name) and places[name].exists()):
            write_bytes(places[name], files[name])


def _is_for_several(spec: AttackSpec | DefenseSpec, name: str) -> bool:
    """Return whether a file lies among the results and is not the cell's own."""
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
