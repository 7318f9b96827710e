"""Runs of a plugin under check in a process of its own, for what a process can be asked
only once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import benchbd
from benchbd.plugin.provenance import name_for
from benchbd.testing.result import NotSeen, RuleBroken
from benchbd.testing.subject import Subject


def run_apart(
    subject: Subject, program: str, doing: str, patience: int, *words: str
) -> tuple[dict[str, Any], str]:
    """Run a Python `program` in an empty folder, and return the facts that it finds out and what it
    prints.

    Its arguments are the file for its facts, in JSON, the plugin's kind and name, and `words`.
    Raises `RuleBroken`, with the words in `doing`, when it does not come to an end within
    `patience` seconds.
    """
    name = name_for(subject.cls)
    if subject.cls.__module__ == "__main__" or (
        name == subject.cls.name and "." not in subject.cls.__module__
    ):
        raise NotSeen("it was written in the running program and cannot be imported elsewhere")
    root = str(Path(benchbd.__file__).parents[1])
    paths = os.pathsep.join([root, *(path for path in sys.path if path)])
    with tempfile.TemporaryDirectory() as folder:
        work, facts = Path(folder) / "work", Path(folder) / "facts.json"
        work.mkdir()
        try:
            done = subprocess.run(  # noqa: S603
                [sys.executable, "-c", program, str(facts), subject.cls.kind, name, *words],
                cwd=work,
                env=os.environ | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                text=True,
                timeout=patience,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise RuleBroken(f"{doing} did not end within {patience} s") from None
        text = facts.read_text() if facts.exists() else ""
    if not text:
        said = done.stderr.strip() or f"exit code {done.returncode}"
        raise RuleBroken(
            f"{doing} in a process of its own failed: {said.splitlines()[-1]}"
        ) from RuntimeError(said)
    return json.loads(text), done.stdout + done.stderr
