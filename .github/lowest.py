"""Writes .github/lowest.txt: the lowest releases that pyproject.toml allows, for pip's `-c`.

python .github/lowest.py
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
HEAD = "# The lowest releases that pyproject.toml allows. Written by `python .github/lowest.py`.\n"


def lowest(requirements: list[str]) -> str:
    """`name==bound` for each `name>=bound`, one a line. Raises `ValueError` without a bound."""
    return HEAD + "".join(f"{name}=={bound}\n" for name, bound in map(bound_of, requirements))


def bound_of(requirement: str) -> tuple[str, str]:
    found = re.match(r"([\w.-]+)>=([\w.]+)", requirement)
    if found is None:
        raise ValueError(f"expected NAME>=VERSION in pyproject.toml, got {requirement!r}")
    return found[1], found[2]


def dependencies() -> list[str]:
    """What benchbd itself needs to run; tools of its tests are always the newest."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return list(project["dependencies"])


if __name__ == "__main__":
    (HERE / "lowest.txt").write_text(lowest(dependencies()), encoding="utf-8")
