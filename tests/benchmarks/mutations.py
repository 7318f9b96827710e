"""Result files that were damaged, read by every command that reads them: what is believed?

    PYTHONPATH=tests python tests/benchmarks/mutations.py --times 200
        each file with 200 mutations: flipped bits, cut short, swapped blocks, zeroed ranges, bytes
        more at the end

The second table of docs/reliability.md. How a file is changed hangs on `--seed`, on its name and on
the number of the mutation. The commands run in this very process.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import benchbd  # noqa: F401 - first, so that threads wait passively

# isort: split
from reliability import place
from stores import say
from table import show

from benchbd.record.cells import ResultStore
from benchbd.record.defense_result import read_defense_result
from support.command_line import benchbd as typed


class Hang(BaseException):
    """A command took longer than `LIMIT`; nothing in benchbd catches it."""


LIMIT = 300
"""Seconds after which a command that reads one file counts as hanging, on a busy machine."""

SIZES = ("--set", "dataset.size=8", "--set", "model.width=4")
IMPORTED = "imported"
FOREIGN = ("--model", "resnet_small", "--dataset", "digits", *SIZES, "--name", IMPORTED)
ONE_EPOCH = ("--set", "recipe.epochs=1", "--set", "defense.epochs=1")

Ended = subprocess.CompletedProcess[str]

OUTCOMES = ("refused", "not used", "same content", "believed", "traceback", "hang")
"""not used: left out of the board, listed as unreadable, called unknown, or made once more. same
content: the bytes of a JSON file differ, and not what they say. The last three are faults.
"""


@dataclass(frozen=True)
class Reader:
    """A command that reads a file. believes: whether its end, without an error, shows that it took
    the file for whole.
    """

    words: tuple[str, ...]
    believes: Callable[[Ended], bool] = lambda ended: True

    def __str__(self) -> str:
        grouped = self.words[0] in ("export", "import", "leaderboard")
        return " ".join(self.words[: 2 if grouped else 1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=200, help="mutations of each file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder that keeps all that was written")
    given = parser.parse_args()
    with place(given.keep) as folder:
        mutations(folder, given.times, given.seed)


def mutations(folder: Path, times: int, seed: int) -> None:
    """Change each file in many ways, and let each command read it."""
    trial = ("run", "--attack", "badnet", "--defense", "ft", "--name", "trial", "-q")
    made = typed(*trial, *SIZES, *ONE_EPOCH, cwd=folder)
    assert made.returncode == 0, made
    rows = (
        row
        for path, readers in read_in(folder).items()
        for row in outcomes(folder, path, readers, times, seed)
    )
    show(("file", "command", *OUTCOMES), rows)


def read_in(folder: Path) -> dict[Path, list[Reader]]:
    """The files of a run, and the commands that read each of them."""
    record = folder / "record/trial"
    # moved alone, so that nothing beside it notes its digest
    attack = Path(shutil.copy(record / "attack_result.pt", folder / "alone.pt"))
    defense, cell = (record / "defense/ft" / name for name in ("defense_result.pt", "cell.json"))
    return {
        attack: [
            Reader(("run", "--result-file", attack.name, "--defense", "none", "-q")),
            inspected(attack),
            Reader(("export", "safetensors", attack.name, "--undefended", "--out", "weights")),
            Reader(("import", "checkpoint", attack.name, *FOREIGN)),
        ],
        defense: [
            used_again(),
            inspected(defense),
            Reader(("export", "safetensors", "trial", "--defense", "ft", "--out", "weights")),
            Reader(("import", "checkpoint", str(defense), *FOREIGN)),
        ],
        cell: [used_again(), inspected(cell)],
        in_results(folder / "results", defense): stored_readers(folder),
    }


def used_again() -> Reader:
    """`run` with the result of a defense beside the attack result; one that it makes once more is
    written.
    """
    words = ("run", "--result-file", "trial", "--defense", "ft", "--set", "defense.epochs=1")
    return Reader(words, lambda ended: "written:" not in ended.stdout)


def inspected(path: Path) -> Reader:
    """`inspect` shows whatever it is given; a file that it knows no more is called unknown."""
    return Reader(("inspect", str(path)), lambda ended: ": unknown, " not in ended.stdout)


def in_results(results: Path, defense: Path) -> Path:
    """The result of a defense among those of matrices."""
    cell = read_defense_result(defense)["cell"]
    beside = (defense.parent / "predictions.safetensors").read_bytes()
    return ResultStore(results).write(cell.place, cell, beside)


def stored_readers(folder: Path) -> list[Reader]:
    """The commands that read the only result under `results`."""
    (path,) = folder.glob("results/*/*/*/*.json")
    where = ("--results", "results")

    def on_the_board(ended: Ended) -> bool:
        return bool(json.loads((folder / "board/leaderboard.json").read_text())["cells"])

    return [
        Reader(("status", *where), lambda ended: "unreadable" not in ended.stdout),
        Reader(("leaderboard", "build", *where, "--out", "board"), on_the_board),
        Reader(("verify", "results")),
        Reader(("reproduce", str(path))),
        inspected(path),
    ]


def outcomes(
    folder: Path, path: Path, readers: list[Reader], times: int, seed: int
) -> Iterator[tuple[str, ...]]:
    """A row for each command that reads the file at `path`: how often it ended in which way."""
    whole, counts = path.read_bytes(), {reader: Counter[str]() for reader in readers}
    beside = {each: each.read_bytes() for each in path.parent.iterdir() if each.is_file()}
    for reader in readers:
        assert outcome(reader, folder) == "believed", reader.words
    for number in range(times):
        changed = mutant(whole, number, random.Random(f"{seed} {path.name} {number}"))
        for reader in readers:
            for each, content in (beside | {path: changed}).items():
                each.write_bytes(content)
            how = outcome(reader, folder)
            if how == "believed" and path.suffix == ".json" and says_the_same(changed, whole):
                how = "same content"
            counts[reader][how] += 1
            if how in OUTCOMES[3:]:
                kind = MUTATIONS[number % len(MUTATIONS)].__name__
                say(f"{path.name}, {number}, {kind}: {reader}: {how}")
        if number % 20 == 19:
            say(f"{path.name}: {number + 1} of {times}")
    for each, content in beside.items():
        each.write_bytes(content)
    name = path.name if "results" not in path.parts else "results/.../KEY.json"
    for reader in readers:
        yield f"`{name}`", f"`{reader}`", *(str(counts[reader][how]) for how in OUTCOMES)


def outcome(reader: Reader, folder: Path) -> str:
    in_the_way = [folder / "record" / IMPORTED, *folder.glob("record/trial/defense/ft-*")]
    for each in in_the_way:  # what an earlier command has made
        shutil.rmtree(each, ignore_errors=True)
    try:
        with at_most(LIMIT):
            ended = typed(*reader.words, cwd=folder)
    except Hang:
        return "hang"
    except Exception as error:
        say(f"{type(error).__name__}: {error}")
        return "traceback"
    if "Traceback" in ended.stdout + ended.stderr:
        return "traceback"
    if 2 <= ended.returncode <= 5:
        return "refused"
    return "believed" if reader.believes(ended) else "not used"


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def says_the_same(changed: bytes, whole: bytes) -> bool:
    with suppress(ValueError):
        return bool(json.loads(changed) == json.loads(whole))
    return False


def mutant(whole: bytes, number: int, draw: random.Random) -> bytes:
    """The file with the mutation whose turn it is; never as it was."""
    mutate = MUTATIONS[number % len(MUTATIONS)]
    while True:
        content = bytearray(whole)
        mutate(content, draw)
        changed = bytes(content)
        if changed != whole:
            return changed


def flipped(content: bytearray, draw: random.Random) -> None:
    """One to three bits."""
    for _ in range(draw.randint(1, 3)):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)


def cut(content: bytearray, draw: random.Random) -> None:
    del content[draw.randrange(len(content)) :]


def swapped(content: bytearray, draw: random.Random) -> None:
    """Two blocks of one length change places."""
    length = draw.randint(1, min(512, len(content) // 4))
    first, second = sorted(draw.sample(range(0, len(content) - length, length), 2))
    content[first : first + length], content[second : second + length] = (
        content[second : second + length],
        content[first : first + length],
    )


def zeroed(content: bytearray, draw: random.Random) -> None:
    """A range."""
    start, length = draw.randrange(len(content)), draw.randint(1, 4096)
    end = min(start + length, len(content))
    content[start:end] = bytes(end - start)


def longer(content: bytearray, draw: random.Random) -> None:
    """Some bytes more at the end."""
    content += draw.randbytes(draw.randint(1, 256))


MUTATIONS = (flipped, cut, swapped, zeroed, longer)


if __name__ == "__main__":
    main()
