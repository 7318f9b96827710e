"""Checks of what importing a plugin's module does, observed in a process of its own."""

from __future__ import annotations

from typing import Any

from benchbd.testing.check import check, require
from benchbd.testing.own_process import run_apart
from benchbd.testing.result import NotSeen
from benchbd.testing.subject import Subject

QUICK_IMPORT_SECONDS = 2.0
IMPORT_CHECK_SECONDS = 60
IMPORT_PROGRAM = """
import json, sys, time
import benchbd.api.executors, benchbd.plugin.registry, torch
from benchbd.engine.process_state import generators, settings
from benchbd.testing.written_files import record_writes
place, kind, name = sys.argv[1:]
were, drawn, start = settings(), generators(), time.perf_counter()
with record_writes() as written:
    benchbd.plugin.registry.load(kind, name)
seconds = time.perf_counter() - start
changed = [name for name, now in (settings() | generators()).items() if now != (were | drawn)[name]]
facts = {"seconds": seconds, "written": written, "changed": changed}
facts["cuda"] = torch.cuda.is_initialized()
open(place, "w").write(json.dumps(facts))
"""


@check("api", apart=True)
def import_is_quick(subject: Subject) -> None:
    """Importing its module takes less than 2 seconds."""
    seconds = _imported(subject)["seconds"]
    # once more: the files may have come from a cold disk, or the machine may have been busy
    if seconds > QUICK_IMPORT_SECONDS:
        seconds = min(seconds, _watch(subject)["seconds"])
    remedy = "import what is slow where it is used"
    require(
        seconds <= QUICK_IMPORT_SECONDS,
        f"importing it took {seconds:.1f} s, expected at most {QUICK_IMPORT_SECONDS:g}; {remedy}",
    )


@check("api", apart=True)
def import_is_silent(subject: Subject) -> None:
    """Importing its module prints nothing."""
    printed = _imported(subject)["printed"]
    require(not printed, f"importing it printed {printed[:200]!r}; say nothing at import")


@check("api", apart=True)
def import_writes_nothing(subject: Subject) -> None:
    """Importing its module writes no file."""
    written = _imported(subject)["written"]
    require(
        not written,
        f"importing it wrote {', '.join(written[:3])}; open files when a verb is called, if at all",
    )


@check("api", apart=True)
def import_changes_nothing(subject: Subject) -> None:
    """Importing its module leaves generators, settings of the whole process and CUDA as
    they were.
    """
    facts = _imported(subject)
    require(
        not facts["changed"],
        f"importing it changed: {', '.join(facts['changed'])}; leave the process as it is",
    )
    require(not facts["cuda"], "importing it started CUDA; ask for devices when a verb is called")


def _imported(subject: Subject) -> dict[str, Any]:
    """Return what importing did, observed once per plugin. If it failed, the first check that asks
    reports it.
    """
    if "imported" not in subject.notes:
        subject.notes["imported"] = None
        subject.notes["imported"] = _watch(subject)
    facts: dict[str, Any] | None = subject.notes["imported"]
    if facts is None:
        raise NotSeen("its import did not come to an end; see the other checks of it")
    return facts


def _watch(subject: Subject) -> dict[str, Any]:
    """Import the module in an empty folder and return what it did. Raises `RuleBroken` when it does
    not come to an end.
    """
    facts, printed = run_apart(subject, IMPORT_PROGRAM, "importing it", IMPORT_CHECK_SECONDS)
    return facts | {"printed": printed}
