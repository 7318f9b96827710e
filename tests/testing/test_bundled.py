"""Every bundled plugin keeps the rules of its family."""

from __future__ import annotations

import pytest

from benchbd.executing.executor import Limits
from benchbd.plugin.entry import KINDS, PluginEntry
from benchbd.plugin.registry import entries, load
from benchbd.testing import check_plugin, failures
from benchbd.testing.check import CHECKS
from benchbd.testing.result import Result

BUNDLED = [entry for kind in KINDS for entry in entries(kind) if entry.provider == "benchbd"]
ELSEWHERE = (
    "cifar10",
    "cifar100",
    "fashion_mnist",
    "gtsrb",
    "imagefolder",
    "mnist",
    "parquet",
    "slurm",
    "svhn",
)
"""Data sets whose images are not on every machine, and executors whose machines are not; their own
tests make them up.
"""


@pytest.mark.slow
@pytest.mark.parametrize("entry", BUNDLED, ids=lambda entry: f"{entry.kind}.{entry.name}")
def test_rules_are_kept(entry: PluginEntry, monkeypatch: pytest.MonkeyPatch) -> None:
    if (
        entry.name == "ray"
    ):  # once started it leaves a token in the user's home, which the rule is not about
        load(entry.kind, f"benchbd/{entry.name}")().open(Limits()).close()  # type: ignore[attr-defined]
    kept = [
        check for check in CHECKS if not check.apart
    ]  # the next test and test_elsewhere.py start one process for all of them
    monkeypatch.setattr("benchbd.testing.runner.CHECKS", kept)
    results = check_plugin(load(entry.kind, f"benchbd/{entry.name}"), "smoke")
    assert failures(results) == []
    stands_in = (
        entry.card.get("role") == "imported"
    )  # for what was run elsewhere; it cannot be run here
    assert _ran(results) or entry.name in ELSEWHERE or stands_in, "the suite must prove that it ran"


@pytest.mark.slow
def test_importing_all_of_them_disturbs_nothing() -> None:
    import subprocess
    import sys

    program = (
        "import sys, torch, benchbd.api.executors\n"
        "from benchbd.plugin.registry import load\n"
        "from benchbd.engine.process_state import generators, settings\n"
        "from benchbd.testing.written_files import record_writes\n"
        "were = settings() | generators()\n"
        "with record_writes() as written:\n"
        "    [load(*name.split('.')) for name in sys.argv[1:]]\n"
        "now = settings() | generators()\n"
        "print([name for name in were if were[name] != now[name]], written, "
        "torch.cuda.is_initialized())"
    )
    names = [f"{entry.kind}.{entry.name}" for entry in BUNDLED]
    done = subprocess.run(
        [sys.executable, "-c", program, *names], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("[] [] False\n", "")


def _ran(results: list[Result]) -> bool:
    return next(result.status for result in results if result.check == "runs") == "passed"
