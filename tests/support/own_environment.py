"""A virtual environment of a test's own that sees the packages of this one, so that installing
needs no network.
"""

from __future__ import annotations

import os
import site
import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = (ROOT, ROOT / "plugins")
OFFLINE = {
    "pip": "--no-deps --no-index --no-build-isolation",
    "pytest": "-p no:cacheprovider --benchbd-level api",
    "benchbd check": "--level api",
    "python": "--no-isolation",
}
"""Words after which a command of a packager needs nothing from elsewhere, and no minutes, by the
beginning of the command.
"""
QUIETLY = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


class OwnEnvironment:
    """Made in `folder`. What is installed is seen there alone; of benchbd the `sources` are."""

    def __init__(self, folder: Path, sources: Sequence[Path] = SOURCES) -> None:
        venv.create(folder, with_pip=False, symlinks=True)
        self.python = folder / "bin" / "python"
        (packages,) = folder.glob("lib/*/site-packages")
        inherited = [*site.getsitepackages(), *map(str, sources)]
        (packages / "inherited.pth").write_text("\n".join(inherited) + "\n")

    def run(self, command: str, cwd: Path) -> str:
        """What a command line of a shell prints, `pip`, `benchbd` and their like being those of
        this environment.
        """
        program, _, words = command.partition(" ")
        line = (
            f"{self.python} {words}"
            if program == "python"
            else f"{self.python} -m {program} {words}"
        )
        done = subprocess.run(
            ["sh", "-c", line], cwd=cwd, capture_output=True, text=True, env=os.environ | QUIETLY
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def run_offline(self, command: str, cwd: Path) -> str:
        """What a command line of a packager prints, with the words of `OFFLINE` behind it."""
        words = (each for begin, each in OFFLINE.items() if command.startswith(begin))
        return self.run(" ".join([command, *words]), cwd)
