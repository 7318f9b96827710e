"""Result files that were damaged or made to do harm: a fault of that file, never a traceback."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from benchbd.audit.verify import verify
from benchbd.cli.main import benchbd
from benchbd.defense.defense import Defense
from benchbd.leaderboard.board.build import read_board
from benchbd.leaderboard.render.json_document import to_json
from benchbd.plugin.registry import create
from benchbd.record.attack_result import AttackResult
from benchbd.record.cell import Cell
from benchbd.record.cells import ResultStore
from benchbd.record.keys import key_of

MUTANTS = 200


MARK = "put harm here"

HARMFUL = (
    "1" + "0" * 400,
    "-1" + "0" * 4999,
    "1" + "0" * 30,
    "-1",
    "0",
    "1e308",
    "1e999",
    "NaN",
    "-Infinity",
    "[" * 90 + "]" * 90,
    "[" * 980 + "]" * 980,
    "[" * 20_000 + "]" * 20_000,
    json.dumps("x" * 5000),
    json.dumps("../" * 1700),
    json.dumps("/etc/passwd"),
    json.dumps("\ud800"),
    json.dumps("a\0b"),
    json.dumps("\x1b[2J\n"),
    '""',
    "null",
    "true",
    "[]",
    "{}",
    json.dumps({"\ud800": 1}),
    json.dumps({"path": "y" * 5000}),
)
"""JSON that once ended a command with a traceback, and values of wrong types."""


@pytest.fixture(scope="module")
def honest(stored: AttackResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one real cell."""
    folder = tmp_path_factory.mktemp("honest") / "results"
    made = create(Defense, "none").defense(stored.path, device="cpu", protocol="trial@1")
    ResultStore(folder).write(made.cell.place, made.cell, made.predictions())
    return folder


def places(value: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside of a JSON document, the containers too."""
    if not isinstance(value, dict | list):
        return
    for name, each in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*where, name)
        yield from places(each, (*where, name))


def mutant(content: dict[str, Any], rng: random.Random) -> str:
    """The text of the cell with one value replaced, taken out or put in; half of them with the key
    and the digest made right again, as an attacker would, where that can be done.
    """
    changed = json.loads(json.dumps(content))
    *way, last = rng.choice(list(places(changed)))
    inside = changed
    for step in way:
        inside = inside[step]
    match rng.randrange(8):
        case 0:
            del inside[last]
        case 1 if isinstance(inside, dict):
            inside["more"] = MARK
        case _:
            inside[last] = MARK
    harm = rng.choice(HARMFUL)
    if rng.random() < 0.5:
        changed |= right_again(harmed(changed, harm))
    return harmed(changed, harm)


def harmed(content: dict[str, Any], harm: str) -> str:
    return json.dumps(content).replace(json.dumps(MARK), harm)


def right_again(text: str) -> dict[str, str]:
    """The key and the digest of a cell; nothing for what is no cell."""
    try:
        content = json.loads(text)
        cell = Cell.model_validate(content)
        key = cell.cell.key(cell.protocol)
        body = content | {"key": key}
        del body["digest"]
        return {"key": key, "digest": key_of("digest", body)}
    except (ValueError, TypeError, RecursionError, LookupError):
        return {}


def ran(*words: str) -> Result:
    return CliRunner().invoke(benchbd, list(words))


@pytest.mark.slow
def test_no_mutant_ends_a_command_with_a_traceback(
    honest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them lie in one store with the honest cell, which keeps its good name."""
    results = Path(shutil.copytree(honest, tmp_path / "results"))
    monkeypatch.chdir(tmp_path)
    (path,) = results.rglob("*.json")
    content, rng = json.loads(path.read_text()), random.Random(0)
    predictions = path.with_name(content["predictions"]["file"])
    for number in range(MUTANTS):
        beside = path.parent / f"{number:03d}.json"
        beside.write_text(mutant(content, rng))
    assert predictions.is_file()
    verified = ran("verify", "results")
    assert (verified.exit_code, type(verified.exception)) == (5, SystemExit)
    lines = verified.stdout.splitlines()
    assert all(any(f"/{n:03d}.json: " in line for line in lines) for n in range(MUTANTS))
    assert lines[-1] == f"1 recomputed, {MUTANTS} with faults"
    built = ran("leaderboard", "build", "--results", "results", "--out", "board")
    assert (built.exit_code, built.exception) == (0, None)
    status = ran("status", "--results", "results")
    assert (status.exit_code, status.exception) == (0, None)
    assert "\x1b[2J" not in verified.stdout + status.stdout


@pytest.mark.slow
def test_a_mutant_in_the_right_place_raises_nothing(honest: Path, tmp_path: Path) -> None:
    """One at a time under the right name, so that what looks at plugins, data and predictions is
    reached, and the board is made of it.
    """
    results = Path(shutil.copytree(honest, tmp_path / "results"))
    (path,) = results.rglob("*.json")
    content, rng = json.loads(path.read_text()), random.Random(1)
    faulty = 0
    for _ in range(MUTANTS):
        path.write_text(mutant(content, rng))
        (found,) = verify([results])
        faulty += bool(found.faults)
        to_json(read_board(results, {}))
    assert faulty > MUTANTS // 2
