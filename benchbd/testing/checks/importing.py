"""What importing a plugin's module does, watched in a process of its own."""

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
from benchbd.testing.check import NotSeen, RuleBroken, check, require
from benchbd.testing.subject import Subject

SECONDS = 2.0
PATIENCE = 60
PROGRAM = """
import json, sys, time
import benchbd.api, benchbd.plugin.registry, torch
from benchbd.testing.watch import generators, settings, writes
place, kind, name = sys.argv[1:]
were, drawn, start = settings(), generators(), time.perf_counter()
with writes() as written:
    benchbd.plugin.registry.load(kind, name)
seconds = time.perf_counter() - start
changed = [name for name, now in (settings() | generators()).items() if now != (were | drawn)[name]]
facts = {"seconds": seconds, "written": written, "cuda": torch.cuda.is_initialized(), "changed": changed}
open(place, "w").write(json.dumps(facts))
"""


@check("api")
def import_is_quick(subject: Subject) -> None:
    """Importing its module takes less than 2 seconds."""
    seconds = _imported(subject)["seconds"]
    if seconds > SECONDS:  # once more: the files may have come from a cold disk, or the machine may have been busy
        seconds = min(seconds, _watch(subject)["seconds"])
    remedy = "import what is slow where it is used"
    require(seconds <= SECONDS, f"importing it took {seconds:.1f} s, expected at most {SECONDS:g}; {remedy}")


@check("api")
def import_is_silent(subject: Subject) -> None:
    """Importing its module prints nothing."""
    printed = _imported(subject)["printed"]
    require(not printed, f"importing it printed {printed[:200]!r}; say nothing at import")


@check("api")
def import_writes_nothing(subject: Subject) -> None:
    """Importing its module writes no file."""
    written = _imported(subject)["written"]
    require(not written, f"importing it wrote {', '.join(written[:3])}; open files when a verb is called, if at all")


@check("api")
def import_changes_nothing(subject: Subject) -> None:
    """Importing its module leaves generators, settings of the whole process and CUDA as they were."""
    facts = _imported(subject)
    require(not facts["changed"], f"importing it changed: {', '.join(facts['changed'])}; leave the process as it is")
    require(not facts["cuda"], "importing it started CUDA; ask for devices when a verb is called")


def _imported(subject: Subject) -> dict[str, Any]:
    """What importing did, watched once per plugin; where it failed, the first check that asks tells of it."""
    if "imported" not in subject.notes:
        subject.notes["imported"] = None
        subject.notes["imported"] = _watch(subject)
    facts: dict[str, Any] | None = subject.notes["imported"]
    if facts is None:
        raise NotSeen("its import did not come to an end; see the other checks of it")
    return facts


def _watch(subject: Subject) -> dict[str, Any]:
    """Import it in an empty folder. Raises `RuleBroken` when it does not come to an end."""
    name = name_for(subject.cls)
    if subject.cls.__module__ == "__main__" or (name == subject.cls.name and "." not in subject.cls.__module__):
        raise NotSeen("it was written in the running program and cannot be imported elsewhere")
    root = str(Path(benchbd.__file__).parents[1])
    paths = os.pathsep.join([root, *(path for path in sys.path if path)])
    with tempfile.TemporaryDirectory() as folder:
        work, facts = Path(folder) / "work", Path(folder) / "facts.json"
        work.mkdir()
        try:
            done = subprocess.run(  # noqa: S603
                [sys.executable, "-c", PROGRAM, str(facts), subject.cls.kind, name],
                cwd=work,
                env=os.environ | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise RuleBroken(f"importing it did not end within {PATIENCE} s") from None
        text = facts.read_text() if facts.exists() else ""
    if not text:
        said = done.stderr.strip() or f"exit code {done.returncode}"
        raise RuleBroken(f"importing it in a process of its own failed: {said.splitlines()[-1]}") from ImportError(said)
    return json.loads(text) | {"printed": done.stdout + done.stderr}  # type: ignore[no-any-return]
