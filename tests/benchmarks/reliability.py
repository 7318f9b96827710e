"""What is left of a matrix whose processes are killed at random moments.

    PYTHONPATH=tests python tests/benchmarks/reliability.py kills --executor local --times 50
        a controller, its fork server, one of its workers or all of them, killed at random moments
    PYTHONPATH=tests python tests/benchmarks/reliability.py pairs --times 20
        two controllers in one folder, one of which is killed

The first table of docs/reliability.md. Whom a kill hits, and at which share of an undisturbed run,
hangs on `--seed` alone; what was at work at that moment hangs on the machine, too.

Importing torch takes most of the time of so small a run, so controllers and fork servers are forked
from a process that has imported it; with `--anew` each is started as from a shell.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import benchbd  # noqa: F401 - first, so that threads wait passively

# isort: split
import torch
from controllers import DEATH, PATIENCE, WORDS, Controller, Kill, waited_for
from stores import Fault, amiss, claimed, damaged, faults, prepare, say, stamps
from table import show

VICTIMS = {
    "inprocess": ("controller",),
    "local": ("controller", "worker", "fork server", "all"),
    "reuse-worker": ("controller", "worker", "fork server", "all"),
}
"""Who is killed, in turn."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiment", choices=("kills", "pairs"))
    parser.add_argument("--executor", choices=tuple(WORDS), default="local", help="of `kills`")
    parser.add_argument("--times", type=int, default=50, help="kills, or pairs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--anew", action="store_true", help="start every process anew")
    parser.add_argument("--keep", type=Path, help="folder that keeps all that was written")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with place(given.keep) as folder:
        trial = Trial(folder, given.times, given.seed, given.anew)
        if given.experiment == "kills":
            trial.kills(given.executor)
        else:
            trial.pairs(list(WORDS))


@contextmanager
def place(kept: Path | None) -> Iterator[Path]:
    """A folder to work in: the one that is named, or one that is gone afterwards."""
    if kept is not None:
        kept.mkdir(parents=True)
        yield kept.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="reliability-") as folder:
        yield Path(folder)


@dataclass
class Trial:
    """Kills, counted."""

    folder: Path
    times: int
    seed: int
    anew: bool
    counts: Counter[str] = field(default_factory=Counter)
    killed: list[Kill] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def kills(self, way: str) -> None:
        """One controller after the other in a folder, until one is not killed."""
        whole, seconds = self._undisturbed(way)
        attempts = 0
        while len(self.killed) < self.times:
            store, finished = self._store(), False
            since = len(self.killed)
            while not finished:
                draw = random.Random(f"{self.seed} {way} {attempts}")
                victims = VICTIMS[way]
                attempts += 1
                finished = self._one(
                    Controller(store, way, self.anew),
                    seconds * draw.random() if len(self.killed) < self.times else None,
                    victims[len(self.killed) % len(victims)],
                    draw,
                )
            self._look(store, whole, self.killed[since:])
        self._show(way)

    def _one(
        self, controller: Controller, pause: float | None, victim: str, draw: random.Random
    ) -> bool:
        """Run a controller, kill it or a part of it after a pause; whether it came to its end."""
        self.counts["controllers started"] += 1
        self._at_work(controller, claimed(controller.store))
        kill = None
        if pause is not None:
            controller.process.join(pause)
            kill = controller.hit(victim, draw)
        if kill is not None:
            self._note(kill)
        if kill is not None and victim in ("controller", "all"):
            controller.process.join(DEATH)
            return False
        well = controller.ends_well()
        self.counts[Fault.BAD_ENDS] += not well
        return well

    def pairs(self, ways: list[str]) -> None:
        """Two controllers in a folder, one of which is killed, in each of the ways in turn."""
        alone = {way: self._undisturbed(way) for way in ways}
        while len(self.killed) < self.times:
            attempt = self.counts["stores"]
            way = ways[attempt % len(ways)]
            whole, seconds = alone[way]
            draw = random.Random(f"{self.seed} pairs {attempt}")
            store = self._store()
            pair = [Controller(store, way, self.anew, workers=1) for _ in range(2)]
            self.counts["controllers started"] += 2
            self._at_work(pair[0], set())
            pair[0].process.join(seconds * draw.random())
            victim = "controller" if attempt % 2 else "all"
            kill = pair[0].hit(victim, draw)
            if kill is not None:
                self._note(kill)
            left = pair[1:] if kill is not None else pair
            self.counts[Fault.BAD_ENDS] += sum(not each.ends_well() for each in left)
            self._look(store, whole, [kill] if kill is not None else [])
        self._show("pairs")

    def _undisturbed(self, way: str) -> tuple[Path, float]:
        """The folder of a run that nothing happens to, and its seconds from the first stage on."""
        store = self.folder / f"undisturbed {way}"
        prepare(store)
        controller = Controller(store, way, self.anew)
        self._at_work(controller, set())
        start = time.monotonic()
        assert controller.ends_well(), (store / "controller.log").read_text()
        seconds = time.monotonic() - start
        assert amiss(store, store) == damaged(store) == 0
        say(f"{way}: an undisturbed run takes {seconds:.1f} s from its first stage on")
        return store, seconds

    def _store(self) -> Path:
        """A fresh folder."""
        self.counts["stores"] += 1
        store = self.folder / f"store {self.counts['stores']}"
        prepare(store)
        return store

    def _at_work(self, controller: Controller, before: set[str]) -> None:
        """Wait until a stage has begun, or the controller is done."""
        waited_for(
            lambda: bool(claimed(controller.store) - before) or controller.code is not None,
            PATIENCE,
        )

    def _note(self, kill: Kill) -> None:
        self.killed.append(kill)
        self.counts[f"kills of: {kill.victim}"] += 1
        self.counts["kills that hit a stage at work"] += kill.interrupted > 0
        self.counts["stages interrupted"] += kill.interrupted
        self.counts["stages computed again"] += kill.again
        self.counts[Fault.ORPHANS] += kill.orphans
        say(
            f"{len(self.killed)} of {self.times}, {time.monotonic() - self.began:.0f} s: "
            f"{kill.victim}, {kill.interrupted} stages interrupted, {len(kill.stored)} stored"
        )

    def _look(self, store: Path, whole: Path, kills: list[Kill]) -> None:
        """Count what is wrong with a finished store; one that is in order is removed."""
        found, now = faults(store, whole), stamps(store)
        found[Fault.AGAIN] = len(
            {path for kill in kills for path, stamp in kill.stored.items() if now[path] != stamp}
        )
        self.counts.update(found)
        if found.total():
            say(f"{store}: {dict(+found)}")
        else:
            shutil.rmtree(store)

    def _show(self, way: str) -> None:
        seconds = time.monotonic() - self.began
        say(f"{seconds:.0f} s")
        told = self.counts.keys() - set(Fault)
        rows = [("kills", len(self.killed)), *((name, self.counts[name]) for name in sorted(told))]
        rows += [(name, self.counts[name]) for name in Fault]
        show(("", way), ((name, str(count)) for name, count in rows))


if __name__ == "__main__":
    main()
