"""Controllers, the processes that run a matrix. A controller announces itself in the folder of
records as long as it lives. So files that a dead controller has left can be told from those that a
living one is going to read, whichever machine it runs on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchbd.record.claim import claim, is_held

CONTROLLERS_FOLDER = ".controllers"
_SPEC_NAME = re.compile(r"(attack|defense)-(?P<controller>\w+)\.spec(\.ended)?\.json")


@contextmanager
def present(records: Path, controller: str) -> Iterator[None]:
    """Announce a controller of that name inside the block. Raises `Busy` where another one has that
    name, and `Unwritable`.
    """
    presence = _presence(records, controller)
    try:
        with claim(presence):
            yield
    finally:
        with suppress(OSError):  # the files of other controllers lie there, too
            presence.parent.rmdir()


def is_present(records: Path, controller: str) -> bool:
    """Return whether a controller of that name is alive, wherever it runs."""
    return is_held(_presence(records, controller))


def presences(records: Path) -> Iterator[Path]:
    """Yield the claims of all controllers, those of dead ones too."""
    return (records / CONTROLLERS_FOLDER).glob("*.claim")


def spec_name(stage: str, controller: str) -> str:
    """Return the name of a spec, in the folder of its work."""
    return f"{stage}-{controller}.spec.json"


def controller_of(path: Path) -> str:
    """Return the name of the controller to which a spec, or a note of how a stage ended, belongs;
    empty for any other file.
    """
    told = _SPEC_NAME.fullmatch(path.name)
    return told["controller"] if told else ""


def _presence(records: Path, controller: str) -> Path:
    return records / CONTROLLERS_FOLDER / f"{controller}.claim"
