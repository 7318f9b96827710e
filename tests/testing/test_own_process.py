"""What a program in a process of its own finds out, and what becomes of one that does not end."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchbd.api import Repair
from benchbd.plugin.registry import load
from benchbd.testing.own_process import run_apart
from benchbd.testing.result import NotSeen, RuleBroken
from benchbd.testing.subject import Subject

PATIENCE = 60
FACTS = """
import json, os, sys
print("said")
facts = {"words": sys.argv[2:], "here": os.listdir()}
open(sys.argv[1], "w").write(json.dumps(facts))
"""


@pytest.fixture
def subject() -> Subject:
    return Subject(load("defense", "ft"))


@pytest.mark.slow
def test_facts_and_what_was_printed_come_back(subject: Subject) -> None:
    facts, said = run_apart(subject, FACTS, "looking", PATIENCE, "more")
    assert facts == {"words": ["defense", "ft", "more"], "here": []}
    assert said == "said\n"


@pytest.mark.slow
def test_what_fails_says_its_last_words(subject: Subject) -> None:
    with pytest.raises(RuleBroken, match=r"looking in a process of its own failed: .*by zero"):
        run_apart(subject, "1 / 0", "looking", PATIENCE)


@pytest.mark.slow
def test_what_does_not_end_is_not_waited_for(subject: Subject) -> None:
    with pytest.raises(RuleBroken, match="looking did not end within 1 s"):
        run_apart(subject, "import time; time.sleep(600)", "looking", 1)


def test_what_was_written_in_the_running_program_cannot_be_seen_elsewhere(tmp_path: Path) -> None:
    class Mine(Repair):
        api = 1
        name = "mine"

    Mine.__module__ = "__main__"
    with pytest.raises(NotSeen, match="was written in the running program"):
        run_apart(Subject(Mine), FACTS, "looking", PATIENCE)
