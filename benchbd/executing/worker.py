"""A worker: a process that reads the paths of specs, one a line, runs their stages, and stores what
they print in log files.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path


def main() -> None:
    """Run the stages whose specs arrive on the standard input, until it ends."""
    lines = os.fdopen(os.dup(0), encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    serve(lines)


def serve(specs: Iterable[str]) -> None:
    """Run one stage after the other. What it prints is appended to the log of its work,
    `log_path`.
    """
    from benchbd.executing.stage import log_path, run_stage

    for line in specs:
        spec = Path(line.rstrip("\n"))
        _redirect(log_path(spec))
        run_stage(spec)


def _redirect(log: Path) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


if __name__ == "__main__":
    main()
