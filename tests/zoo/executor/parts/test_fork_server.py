"""The near side of the fork server: what is heard of a worker, and what becomes of one whose server
died.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchbd_zoo.executor.parts.fork_server import Worker


@dataclass
class Ends:
    """The far ends of a worker's pipes: what it is told, and what it lets hear."""

    orders: int
    tidings: int

    def told(self) -> list[str]:
        return os.read(self.orders, 10_000).decode().splitlines()

    def tell(self, text: str) -> None:
        os.write(self.tidings, text.encode())


@pytest.fixture
def pair() -> Iterator[tuple[Worker, Ends]]:
    orders_out, orders = os.pipe()
    tidings, tidings_in = os.pipe()
    worker = Worker(orders, tidings, {"COLOUR": "red"})
    yield worker, Ends(orders_out, tidings_in)
    worker.close()
    os.close(orders_out)
    os.close(tidings_in)


def test_it_is_told_its_environment_and_then_its_stages(pair: tuple[Worker, Ends]) -> None:
    worker, ends = pair
    worker.begin(Path("a.spec.json"))
    environment, stage = ends.told()
    assert json.loads(environment) == {"COLOUR": "red"}
    assert stage == str(Path.cwd() / "a.spec.json")


def test_its_number_and_its_end_are_heard_in_pieces(pair: tuple[Worker, Ends]) -> None:
    worker, ends = pair
    assert worker.running() and worker.pid is None
    ends.tell("12")
    assert worker.running() and worker.pid is None, "half of a number is none"
    ends.tell("34\n")
    assert worker.running() and worker.pid == 1234
    ends.tell("-9\n")
    assert not worker.running() and worker.exit_code == -9


def test_one_of_which_nothing_more_is_heard_is_lost() -> None:
    orders_out, orders = os.pipe()
    tidings, tidings_in = os.pipe()
    worker = Worker(orders, tidings, {})
    os.close(tidings_in)
    os.close(orders_out)
    assert not worker.running() and worker.lost and worker.exit_code is None
    worker.begin(Path("a"))  # there is nobody to hear it
    worker.close()


@pytest.mark.slow
def test_a_signal_goes_to_its_whole_group(pair: tuple[Worker, Ends]) -> None:
    worker, ends = pair
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], process_group=0
    )
    ends.tell(f"{process.pid}\n")
    assert worker.running() and worker.memory() > 0
    worker.kill()
    deadline = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.poll() == -9
