"""The optional extras of the benchbd package: what each needs, and whether that is installed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution

from benchbd.plugin.entry import BUNDLED_PROVIDER

_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+).*;.*extra == ['\"](?P<extra>[a-z]+)['\"]")


@dataclass(frozen=True)
class Extra:
    """An optional extra. missing: the packages that it needs and that are not installed."""

    name: str
    missing: tuple[str, ...]

    @property
    def remedy(self) -> str:
        """The command that installs it."""
        return f"pip install '{BUNDLED_PROVIDER}[{self.name}]'"


def extras() -> list[Extra]:
    """The extras that the installed package declares, by name."""
    declared = distribution(BUNDLED_PROVIDER)
    needs: dict[str, list[str]] = {
        name: [] for name in sorted(declared.metadata.get_all("Provides-Extra") or [])
    }
    for requirement in declared.requires or []:
        if found := _REQUIREMENT.match(requirement):
            needs.setdefault(found["extra"], []).append(found["name"])
    return [
        Extra(name, tuple(package for package in packages if not _installed(package)))
        for name, packages in needs.items()
    ]


def _installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True
