"""Earlier versions of source files that give the same results as today's. A package lists them in
`earlier_sources.yaml`.

A stored result names the digest of every source file that it was made with, and counts as stale
once a file has another digest. A change of layout, names or comments gives the same results. Its
author says so in this file, by module: the digests of the earlier sources, and the module's former
name where it has moved. A change that gives other results is told by `results_version` instead.

    python -m benchbd.plugin.earlier_sources PACKAGE COMMIT

adds the sources of PACKAGE as they were at a commit of the repository in the current folder.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from benchbd.errors import ConfigError
from benchbd.options import load_yaml
from benchbd.plugin.provenance import PluginSources
from benchbd.plugin.registry import package_file

EARLIER_SOURCES_FILE = "earlier_sources.yaml"
HEADER = """\
# Sources of earlier versions that give the same results as those of today: by module the digests,
# and the name that it had before it moved. Written by `python -m benchbd.plugin.earlier_sources`.
"""

Modules = dict[str, dict[str, Any]]


def changed_sources(today: Iterable[PluginSources], provenance: Mapping[str, Any]) -> str:
    """Return a sentence that names the sources of plugins that changed since a stored result was
    made; it is empty if there are none.

    A source that the result does not name counts as unchanged: older results name only the plugins'
    own files.
    """
    then: Mapping[str, str] = provenance.get("sources", {})
    found = (name for each in today for name in changed_sources_of(each, then))
    changed = list(dict.fromkeys(found))
    return f"made with another source of {', '.join(changed)}" if changed else ""


def changed_sources_of(today: PluginSources, then: Mapping[str, str]) -> list[str]:
    """Return the names of those sources of a plugin that differ from `then`, digests by name, and
    may give other results. A source that `then` does not name counts as unchanged.
    """
    earlier = earlier_sources(today.module.partition(".")[0])
    return [name for name in today.digests if not _is_known(name, today, then, earlier)]


def _is_known(name: str, today: PluginSources, then: Mapping[str, str], earlier: Modules) -> bool:
    digest = today.digests[name]
    listed = earlier.get(today.module if name == today.own else name, {})
    stored = then.get(name, then.get(str(listed.get("formerly", "")), digest))
    return stored == digest or stored in listed.get("digests", ())


@cache
def earlier_sources(package: str) -> Modules:
    """Return what a package says about its earlier sources, by module. It is empty where the
    package has no such file. Raises `ConfigError` for a file in another form.
    """
    path = package_file(package, EARLIER_SOURCES_FILE)
    content = load_yaml(path) if path else {}
    for module, listed in content.items() if isinstance(content, dict) else [(path, content)]:
        if not isinstance(listed, dict) or not isinstance(listed.get("digests", []), list):
            raise ConfigError(
                f"{path}: {module}: expected `digests: [...]`, got {str(listed)[:80]!r}; write the "
                "file by `python -m benchbd.plugin.earlier_sources`"
            )
    return dict(content)


def record(package: str, commit: str) -> Path:
    """Add the sources of a package as they were at `commit` to its file, and return the path of the
    file.
    """
    home = package_file(package, "__init__.py")
    if home is None:
        raise SystemExit(f"no package {package!r} is installed here")
    modules = {name: dict(listed) for name, listed in earlier_sources(package).items()}
    for module, former, digest in _sources_at(commit, home.parent):
        listed = modules.setdefault(module, {})
        if former != module:
            listed["formerly"] = former
        listed["digests"] = sorted({*listed.get("digests", ()), digest})
    path = home.parent / EARLIER_SOURCES_FILE
    path.write_text(HEADER + yaml.safe_dump(modules, width=100), "utf-8")
    return path


def _sources_at(commit: str, folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield, for each file that has changed since, its module now, its module then, and its digest
    then.
    """
    root = Path(_git(folder, "rev-parse", "--show-toplevel").decode().strip())
    changes = _git(folder, "diff", "-M30%", "--diff-filter=MR", "--name-status", commit, "--", ".")
    for line in changes.decode().splitlines():
        _, then, *moved = line.split("\t")
        now = moved[0] if moved else then
        if now.endswith(".py"):
            source = _git(folder, "show", f"{commit}:{then}")
            names = [_module(root / path, folder) for path in (now, then)]
            yield names[0], names[1], hashlib.sha256(source).hexdigest()


def _module(path: Path, folder: Path) -> str:
    return ".".join(path.relative_to(folder.resolve().parent).with_suffix("").parts)


def _git(folder: Path, *words: str) -> bytes:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, check=True).stdout  # noqa: S603


if __name__ == "__main__":
    print(record(*sys.argv[1:]))  # noqa: T201
