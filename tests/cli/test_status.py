"""`benchbd status` names what is doubtful: what a cell says of itself, and seeds that disagree with the others."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner
from made_cells import make_cell, store

from benchbd.cli.status import command


def told(folder: Path) -> str:
    done = CliRunner().invoke(command, ["--results", str(folder)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_doubts_of_a_cell_are_shown(tmp_path: Path) -> None:
    text = told(store([make_cell(doubts=("the attack did not take",)), make_cell("other")], tmp_path))
    assert text.splitlines() == ["trial: 2 ok", "  doubtful trial/00000.json: the attack did not take"]


def test_a_seed_far_from_its_siblings_is_shown(tmp_path: Path) -> None:
    """ASR 10 % twice and 80 % once; another defense with the same spread of its own has nothing to do with it."""
    cells = [make_cell(seed=seed, hits=(900, hits, 0)) for seed, hits in ((0, 90), (1, 99), (2, 720))]
    cells += [make_cell(defense="drop", seed=seed, hits=(900, 450, 0)) for seed in range(3)]
    text = told(store(cells, tmp_path))
    assert text.splitlines() == ["trial: 6 ok", "  doubtful trial/00002.json: far from its siblings in ASR: 80.0 %"]
