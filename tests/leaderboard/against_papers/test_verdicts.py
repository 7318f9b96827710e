"""Verdicts at the ends of the band, against intervals computed by hand, and why there
may be none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchbd.engine.recipe import Recipe
from benchbd.leaderboard.against_papers.verdicts import Target, hold, targets
from benchbd.leaderboard.board.interval import Summary
from benchbd.record.cell import Cell
from support.made_cells import provided
from support.published_table import TABLE, cell, of, table


def held(tmp_path: Path, *cells: Cell, text: str = TABLE) -> dict[str, Target]:
    return {target.defense: target for target in targets(table(tmp_path, text), of(cells))}


@pytest.mark.parametrize(
    ("low", "high", "gap"),
    [
        (0.915, 0.930, 0.0),  # the band is [88.5, 91.5]
        (0.9151, 0.930, 0.01),
        (0.870, 0.885, 0.0),
        (0.870, 0.8849, -0.01),
        (0.85, 0.95, 0.0),
        (0.90, 0.90, 0.0),
        (0.95, 0.95, 3.5),
        (0.0, 0.0, -88.5),
    ],
)
def test_interval_and_band_meet_in_their_ends(low: float, high: float, gap: float) -> None:
    found = hold("acc", 90.0, 1.5, Summary((low, high), (low + high) / 2, low, high))
    assert found.gap == gap


@pytest.mark.parametrize(
    ("published", "edge"), [(91.32, 89.82), (95.03, 93.53), (0.73, -0.77), (77.3, 75.8)]
)
def test_ends_that_are_no_binary_fractions_still_meet(published: float, edge: float) -> None:
    end = max(0.0, round(edge / 100, 6))
    assert hold("acc", published, 1.5, Summary((end,), end, end, end)).gap == 0


def test_three_seeds_by_hand(tmp_path: Path) -> None:
    """ACC 90, 91, 92: mean 91, deviation 1, t 4.30265, so 91 +- 2.48414 = [88.5159, 93.4841]."""
    cells = [cell(seed=seed, hits=(900 + 10 * seed, 90, 720)) for seed in range(3)]
    for published, state, gap, alone in [
        (91.0, "reproduced", 0.0, False),
        (92.5, "reproduced", 0.0, False),
        (92.51, "reproduced", 0.0, True),
        (94.98, "reproduced", 0.0, True),
        (94.99, "not reproduced", -0.0059, False),
        (87.02, "reproduced", 0.0, True),
        (87.01, "not reproduced", 0.0059, False),
    ]:
        found = held(
            tmp_path, *cells, text=TABLE.replace("mend: {acc: 91.0", f"mend: {{acc: {published}")
        )["mend"]
        acc = found.held[0]
        assert (found.state, acc.gap, found.by_interval_alone) == (
            state,
            pytest.approx(gap, abs=2e-4),
            alone,
        ), published
        assert acc.difference == pytest.approx(91 - published, abs=1e-9)


@pytest.mark.parametrize(
    ("defense", "asr", "state"),
    [("none", 15.0, True), ("none", 15.1, False), ("mend", 20.0, True), ("mend", 20.1, False)],
)
def test_the_bar_of_asr_is_wider_for_a_defense(
    tmp_path: Path, defense: str, asr: float, state: bool
) -> None:
    """ASR 10 three times over is an interval without width."""
    text = TABLE.replace("asr: 10.0", f"asr: {asr}")
    found = held(tmp_path, *(cell(defense, seed) for seed in range(3)), text=text)[defense]
    assert found.state == ("reproduced" if state else "not reproduced")


def test_every_metric_that_misses_is_named(tmp_path: Path) -> None:
    text = TABLE.replace("mend: {acc: 91.0, asr: 10.0}", "mend: {acc: 89.0, asr: 32.5}")
    found = held(tmp_path, *(cell(seed=seed) for seed in range(3)), text=text)["mend"]
    assert found.words == "not reproduced: ACC 0.5 above the band, ASR 12.5 below the band"


def test_what_only_a_wide_interval_carries_is_said(tmp_path: Path) -> None:
    cells = [cell(seed=seed, hits=(910, hits, 0)) for seed, hits in enumerate((0, 450, 900))]
    found = held(tmp_path, *cells)["mend"]
    assert (found.state, found.words) == ("reproduced", "reproduced, ASR by the interval alone")
    assert found.held[1].difference == 40.0


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_are_no_verdict_however_close(tmp_path: Path, seeds: int) -> None:
    found = held(tmp_path, *(cell(seed=seed) for seed in range(seeds)))["mend"]
    assert (found.state, found.words, found.held) == (
        "too few seeds",
        f"too few seeds: {seeds} of 3",
        (),
    )


def test_what_was_not_run_is_not_run(tmp_path: Path) -> None:
    assert {t.state for t in held(tmp_path).values()} == {"not run"}
    found = held(tmp_path, *(cell("none", seed) for seed in range(3)))
    assert (found["none"].state, found["mend"].state) == ("reproduced", "not run")


def test_cells_without_numbers_are_named(tmp_path: Path) -> None:
    found = held(tmp_path, *(cell(seed=seed, code="timeout", reason="slow") for seed in range(3)))[
        "mend"
    ]
    assert (found.state, found.words) == ("no numbers", "ran without numbers: timeout")


@pytest.mark.parametrize(
    "other",
    [
        {"protocol": "trial@2"},
        {"dataset": provided("pictures", "benchbd", size=16)},
        {"dataset": provided("pictures", size=8)},
        {"model": provided("wide", "benchbd")},
        {"recipe": Recipe(epochs=3).params},
        {"clean_budget": 0.1},
        {"attack": provided("patch", "benchbd", poison_ratio=0.05, size=3)},
        {"attack": provided("patch", "benchbd", poison_ratio=0.1, size=4)},
        {"attack": provided("patch", poison_ratio=0.1, size=3)},
        {"attack": provided("plaster", "benchbd", poison_ratio=0.1, size=3)},
    ],
)
def test_cells_of_another_setting_are_not_held_against_a_target(
    tmp_path: Path, other: dict[str, Any]
) -> None:
    found = held(tmp_path, *(cell(seed=seed, **other) for seed in range(3)))["mend"]
    assert found.state == "not run"


def test_the_newest_version_of_a_method_counts_and_two_variants_are_not_judged(
    tmp_path: Path,
) -> None:
    old = provided("patch", "benchbd", poison_ratio=0.1, size=3).model_copy(
        update={"results_version": 0}
    )
    cells = [cell(seed=seed) for seed in range(3)]
    outdated = [cell(seed=seed, hits=(500, 90, 720), attack=old) for seed in range(3)]
    assert held(tmp_path, *cells, *outdated)["mend"].state == "reproduced"
    variant = [cell(attack=provided("patch", "benchbd", poison_ratio=0.1, size=3, colour="red"))]
    found = held(tmp_path, *cells, *variant)["mend"]
    assert (found.state, found.words) == ("ambiguous", "2 variants of it were run; none is judged")


def test_the_other_protocol_is_beside_and_never_a_verdict(tmp_path: Path) -> None:
    attack = provided("patch", "benchbd", poison_ratio=0.3, size=5)
    cells = [
        cell(seed=seed, protocol="quick@1", attack=attack, model=provided("tiny", "benchbd"))
        for seed in range(3)
    ]
    found = held(tmp_path, *cells)["mend"]
    assert (found.state, found.entry, [entry.measured for entry in found.beside]) == (
        "not run",
        None,
        [3],
    )
