"""A check of which plugins cannot be used, and why. It imports every one in a separate process.

An import may end the process, by `os._exit` or by a crash in compiled code. The last plugin that
was tried is then at fault, and another process continues after it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial

from benchbd.plugin.entry import KINDS, PluginEntry
from benchbd.plugin.hooks import observer_entries, observer_fault
from benchbd.plugin.registry import BrokenPlugin, clashes, entries, fault

ImportTrial = tuple[PluginEntry, Callable[[], BrokenPlugin | None]]


def find_broken_plugins() -> list[BrokenPlugin]:
    """Return all plugins and observers that cannot be used, in the order in which they are
    listed.
    """
    tried, found, done = [entry for entry, _ in _trials()], [], 0
    while done < len(tried):
        child = subprocess.run(  # noqa: S603
            [sys.executable, "-m", __name__, str(done)], capture_output=True, text=True
        )
        answers = [
            answer for line in child.stdout.splitlines() if (answer := _answer(line)) is not None
        ]
        found += [
            BrokenPlugin(tried[done + place], **answer)
            for place, answer in enumerate(answers)
            if answer
        ]
        done += len(answers)
        if done < len(tried):
            found.append(_culprit(tried[done], child))
            done += 1
    return found + [clash for kind in KINDS for clash in clashes(kind)]


def _trials() -> Iterator[ImportTrial]:
    for entry in [entry for kind in KINDS for entry in entries(kind)]:
        yield entry, partial(fault, entry)
    for entry in observer_entries():
        yield entry, partial(observer_fault, entry)


_ANSWER_MARK = "benchbd probe: "
"""Stands before each answer, because a plugin may print lines of its own."""


def _answer(line: str) -> dict[str, str] | None:
    return (
        dict(json.loads(line.removeprefix(_ANSWER_MARK))) if line.startswith(_ANSWER_MARK) else None
    )


def _culprit(entry: PluginEntry, child: subprocess.CompletedProcess[str]) -> BrokenPlugin:
    how = f"signal {-child.returncode}" if child.returncode < 0 else f"exit code {child.returncode}"
    return BrokenPlugin(
        entry, "import-error", f"its import ended the process with {how}", child.stderr[-4000:]
    )


def main() -> None:
    """Try all plugins from the one whose number is the first argument, and print a line for each
    that says what is wrong with it.
    """
    for _, trial in list(_trials())[int(sys.argv[1]) :]:
        found = trial()
        answer = (
            {name: value for name, value in asdict(found).items() if name != "entry"}
            if found
            else {}
        )
        print(f"\n{_ANSWER_MARK}{json.dumps(answer)}", flush=True)  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    main()
