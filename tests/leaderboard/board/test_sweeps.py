"""What is several times the same in a table."""

from __future__ import annotations

import pytest

from benchbd.leaderboard.board import sweeps
from benchbd.leaderboard.board.build import board
from benchbd.leaderboard.board.contents import Section
from benchbd.leaderboard.board.method_names import Method, labels
from benchbd.leaderboard.board.row import row_of
from benchbd.leaderboard.board.sweeps import threats_of, variants
from benchbd.leaderboard.render.tables import ranking_note
from benchbd.record.cell import Cell
from benchbd.running.protocol import parse_protocol
from support.made_cells import make_cell, provided

RATIOS = (0.01, 0.05, 0.1)


def methods(*given: tuple[str, dict[str, object]]) -> dict[Method, str]:
    return labels(Method.of(provided(name, **params)) for name, params in given)


def section(cells: list[Cell]) -> Section:
    (found,) = board(map(row_of, cells)).sections
    return found


def test_ratios_are_one_threat_and_modes_are_two() -> None:
    found = threats_of(
        methods(
            ("patch", {"poison_ratio": 0.1, "label_mode": "all_to_one"}),
            ("patch", {"poison_ratio": 0.2, "label_mode": "all_to_one"}),
            ("blend", {"poison_ratio": 0.1}),
        )
    )
    assert found == {
        "patch (poison_ratio=0.1)": "patch",
        "patch (poison_ratio=0.2)": "patch",
        "blend": "blend",
    }
    modes = methods(("patch", {"label_mode": "one"}), ("patch", {"label_mode": "all"}))
    assert len(set(threats_of(modes).values())) == 2


def test_the_row_that_a_protocol_lists_first_is_the_rival(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = methods(("ft", {"ratio": 0.05}), ("ft", {"ratio": 0.1}), ("nad", {}))
    assert variants(rows, "unknown@1") == ["ft (ratio=0.1)"]
    chosen = [{"name": "ft", "params": {"ratio": ratio}} for ratio in (0.1, 0.05)]
    content = {"name": "p", "version": 1, "about": "", "dataset": "d", "model": "m", "seeds": [0]}
    content |= {"attacks": ["a"], "defenses": [*chosen, "nad"]}
    monkeypatch.setattr(sweeps, "stored_protocol", lambda _: parse_protocol(content, "here"))
    assert variants(rows, "p@1") == ["ft (ratio=0.05)"]


def test_ratios_of_one_attack_do_not_make_a_test_surer() -> None:
    """Six ratios would give p = 2 / 2**6, which is below 5 %; one attack can show nothing."""
    attacks = [provided("patch", poison_ratio=ratio / 10) for ratio in range(1, 7)]
    cells = [make_cell(a, "good", hits=(900, 0, 0)) for a in attacks]
    cells += [make_cell(a, "bad", hits=(900, 500 + i, 0)) for i, a in enumerate(attacks)]
    found = section(cells)
    (compared,) = found.ranking.comparisons
    assert (compared.attacks, compared.p) == (1, 1.0)
    worst = found.ranking.standings[1].aggregates["asr"]
    assert worst.worst_attack == "patch" and worst.worst == worst.mean
    assert "count as one" in ranking_note(found)


def test_points_of_a_sweep_are_shown_and_not_ranked() -> None:
    swept = [provided("ft", ratio=ratio) for ratio in RATIOS]
    cells = [make_cell("patch", d, hits=(900, 9 * i, 0)) for i, d in enumerate([*swept, "nad"])]
    found = section(cells)
    assert {s.defense: s.place for s in found.ranking.standings} == {
        "ft (ratio=0.01)": "ranked",
        "ft (ratio=0.05)": "variant",
        "ft (ratio=0.1)": "variant",
        "nad": "ranked",
    }
    assert len(found.ranking.comparisons) == 1
    assert all(s.aggregates for s in found.ranking.standings)
    assert "one rival" in ranking_note(found)


def test_a_detector_of_models_has_no_rank_by_what_it_leaves_of_an_attack() -> None:
    said = {"families": {"defense": "model-detector"}}
    cells = [make_cell("patch", "nad"), make_cell("patch", "judge", provenance=said)]
    found = section(cells)
    assert {s.defense: s.place for s in found.ranking.standings} == {
        "nad": "ranked",
        "judge": "by models",
    }
