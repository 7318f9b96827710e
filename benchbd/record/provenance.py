"""The provenance of a result: when, where and with what it was made."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchbd.plugin.provenance import PluginSources

_LIBRARIES = ("torch", "torchvision", "timm", "numpy", "scikit-learn")


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def provenance(sources: Iterable[PluginSources], started: str) -> dict[str, Any]:
    """Return versions of benchbd, Python and libraries, the processor, digests of the plugins'
    sources, threads, the command line, the times.
    """
    import torch  # here, since results are read without it

    from benchbd.engine.processor import this_processor

    return {
        "benchbd": _version("benchbd"),
        **_checkout(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        **this_processor().to_json(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "sources": {name: digest for each in sources for name, digest in each.digests.items()},
        "threads": torch.get_num_threads(),
        "argv": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "started": started,
        "finished": now(),
        "retries": 0,
    }


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@cache
def _checkout() -> dict[str, Any]:
    """Return commit of the checkout that benchbd runs from, and whether its code has changes; empty
    for an installed wheel.
    """
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return {"commit": "", "dirty": False}
    git = ["git", "-C", str(root)]
    try:
        commit = subprocess.run(  # noqa: S603
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True
        ).stdout.strip()
        changed = subprocess.run(  # noqa: S603
            [*git, "diff", "--quiet", "HEAD", "--", "benchbd", "plugins"], timeout=5, check=False
        )
        return {"commit": commit, "dirty": changed.returncode != 0}
    except (OSError, subprocess.SubprocessError):
        return {"commit": "", "dirty": False}
