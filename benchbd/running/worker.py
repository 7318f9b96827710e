"""A worker process: runs the stages whose spec paths come in on its standard input, one a line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

LOG_LIMIT = 16 * 2**20
"""Bytes of output that are kept of one stage."""


def main() -> None:
    """Run stages until the input ends. What a stage prints goes to a log beside its spec."""
    lines = os.fdopen(os.dup(0), encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for line in lines:
        spec = Path(line.rstrip("\n"))
        _redirect(spec.with_suffix(".log"))
        from benchbd.running.stage import run_stage

        run_stage(spec)
        _trim(spec.with_suffix(".log"))


def _redirect(log: Path) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


def _trim(log: Path) -> None:
    """Keep the end of a log that has grown too large."""
    sys.stdout.flush()
    sys.stderr.flush()
    if log.stat().st_size > LOG_LIMIT:
        with log.open("rb") as file:
            file.seek(-LOG_LIMIT, os.SEEK_END)
            tail = file.read()
        log.write_bytes(tail)


if __name__ == "__main__":
    main()
