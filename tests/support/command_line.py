"""`benchbd` as a person types it, in this very process: another one takes seconds to start."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from benchbd.cli.main import main

COLUMNS = {"COLUMNS": "120"}


def benchbd(*words: str, cwd: Path, **environment: str) -> CompletedProcess[str]:
    """The exit code of a command in a folder, and what it told."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(cwd)
        for name, value in (COLUMNS | environment).items():
            patch.setenv(name, value)
        patch.setattr("sys.argv", ["benchbd", *words])
        with pytest.raises(SystemExit) as ended:
            main()
    code = ended.value.code
    assert isinstance(code, int)
    return CompletedProcess(words, code, out.getvalue(), err.getvalue())


def told(*words: str, cwd: Path | None = None) -> str:
    """What a command that ends well prints, by default in the current folder."""
    ended = benchbd(*words, cwd=cwd or Path.cwd())
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def started(*words: str, cwd: Path, **environment: str) -> CompletedProcess[str]:
    """The same in a process of its own, for what only that shows."""
    return subprocess.run(
        [sys.executable, "-m", "benchbd", *words],
        cwd=cwd,
        env=os.environ | COLUMNS | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
