"""Image files below a folder, and a count of what was passed over on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchbd.data.pictures import is_picture_file

FOREIGN_FOLDERS = frozenset({"@eaDir", "__MACOSX"})
"""Small copies and notes that file servers and archives put beside images."""

UNREAD_FORMATS = frozenset({".avif", ".heic", ".heif", ".j2k", ".jp2", ".jxl", ".svg"})
"""Endings of images that Pillow needs other libraries for, or that are no grid of pixels."""


def is_foreign(name: str) -> bool:
    """Return whether a file or folder of that name lies beside images without being part of them:
    what is hidden, and what file servers and archives leave.

    >>> is_foreign(".DS_Store"), is_foreign("@eaDir"), is_foreign("cats")
    (True, True, False)
    """
    return name.startswith(".") or name in FOREIGN_FOLDERS


@dataclass(frozen=True)
class PicturesBelow:
    """What lies in a folder and in the folders below it. Linked folders are not entered.

    files: those named like images, sorted by path. passed_over: how many of each other kind.

    >>> PicturesBelow.find(Path("nowhere")).files
    []
    """

    files: list[Path]
    passed_over: Counter[str]

    @classmethod
    def find(cls, folder: Path) -> Self:
        """Look through `folder` and return what lies there; nothing for a missing folder."""
        files, passed_over = [], Counter[str]()
        for path in sorted(folder.rglob("*")):
            parts = path.relative_to(folder).parts
            if not any(map(is_foreign, parts)) and is_picture_file(path):
                files.append(path)
            elif path.is_file():
                passed_over[_kind(parts)] += 1
        return cls(files, passed_over)


def passed_over_beside(folder: Path) -> Counter[str]:
    """Return how many files of each kind lie in `folder` beside the folders of its classes, and in
    those folders there that hold no class.

    >>> passed_over_beside(Path("."))
    Counter()
    """
    counted = Counter[str]()
    for entry in sorted(folder.iterdir()):
        foreign = is_foreign(entry.name)
        if entry.is_file():
            counted["hidden" if foreign else "outside of class folders"] += 1
        elif foreign and entry.is_dir():
            counted[_kind([entry.name])] += sum(path.is_file() for path in entry.rglob("*"))
    return +counted


def _kind(parts: Iterable[str]) -> str:
    """What a file that is passed over is called together with others like it."""
    *_, name = parts = tuple(parts)
    foreign = next((part for part in parts if is_foreign(part)), None)
    if foreign is not None:
        return f"in {foreign}" if foreign in FOREIGN_FOLDERS else "hidden"
    return Path(name).suffix.lower() or "without an ending"


def counted_in_words(passed_over: Counter[str]) -> str:
    """Return the counts in words, the most frequent first, with what helps for images among them.

    >>> from collections import Counter
    >>> counted_in_words(Counter({".avif": 3, "hidden": 1}))
    '3 .avif, 1 hidden; store the .avif as PNG to have them read'
    """
    counts = ", ".join(f"{count} {kind}" for kind, count in passed_over.most_common())
    unread = sorted(passed_over.keys() & UNREAD_FORMATS)
    if unread:
        counts += f"; store the {' and '.join(unread)} as PNG to have them read"
    if "without an ending" in passed_over:
        counts += "; images need an ending such as .png in their names"
    return counts
