"""`benchbd status`: how much of a protocol is there, and what is doubtful: of itself, or beside its
other seeds.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchbd.cli.status import command
from benchbd.errors import ConfigError
from benchbd.matrices.plan import plan
from benchbd.record.cells import ResultStore
from benchbd.running.protocol import load_protocol
from support.made_cells import make_cell, store


def told(folder: Path, *words: str) -> str:
    done = CliRunner().invoke(command, ["--results", str(folder), *words], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_doubts_of_a_cell_are_shown(tmp_path: Path) -> None:
    text = told(
        store([make_cell(doubts=("the attack did not take",)), make_cell("other")], tmp_path)
    )
    assert text.splitlines() == [
        "trial: 2 ok",
        f"  doubtful {make_cell().place}: the attack did not take",
    ]


def test_a_seed_far_from_its_siblings_is_shown(tmp_path: Path) -> None:
    """ASR 10 % twice and 80 % once; another defense with the same spread of its own has nothing to
    do with it.
    """
    cells = [
        make_cell(seed=seed, hits=(900, hits, 0)) for seed, hits in ((0, 90), (1, 99), (2, 720))
    ]
    cells += [make_cell(defense="drop", seed=seed, hits=(900, 450, 0)) for seed in range(3)]
    text = told(store(cells, tmp_path))
    assert text.splitlines() == [
        "trial: 6 ok",
        f"  doubtful {cells[2].place}: seed 2 lies far from its siblings in ASR: 80.0 %",
    ]


PROTOCOL = (
    "name: tiny\ndataset: digits\nmodel: resnet_small\nseeds: [0, 1]\nattacks: "
    "[badnet]\ndefenses: [none, anp]\n"
)


def test_a_protocol_tells_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a file of another name; an attack that joined it is stored beside what it asks for."""
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(PROTOCOL)
    assert told(tmp_path, "mine.yaml") == "tiny: 0 of 4 cells, 4 missing\n"
    first, second, *_ = (cell.result_name for cell in plan(load_protocol("mine.yaml")))
    for name, code in ((first, "ok"), (second, "n/a"), ("tiny/joined/none/0-0.json", "ok")):
        ResultStore(tmp_path).write(name, make_cell(code=code))
    assert (
        told(tmp_path, "mine.yaml")
        == "tiny: 2 of 4 cells (1 n/a, 1 ok), 2 missing; 1 that it does not name (1 ok)\n"
    )
    assert json.loads(told(tmp_path, "mine.yaml", "--json")) == {"tiny": {"ok": 2, "n/a": 1}}
    assert told(tmp_path, "tiny") == "tiny: 1 n/a, 2 ok\n", (
        "of a name that no protocol has any more there are only results"
    )


def test_a_protocol_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"no protocol named 'digits-quik'; did you mean 'digits-quick'\?"
    ):
        told(tmp_path, "digits-quik")
