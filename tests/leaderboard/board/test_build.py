"""From rows to sections and entries."""

from __future__ import annotations

import random

from benchbd.engine.recipe import Recipe
from benchbd.leaderboard.board.build import board
from benchbd.leaderboard.board.interval import student, tidy, wilson
from benchbd.leaderboard.board.row import row_of
from benchbd.leaderboard.render.files import publication
from benchbd.leaderboard.render.tables import headline_tables
from benchbd.measure.shares import Metrics
from support.made_boards import of, only
from support.made_cells import make_cell, provided


def test_an_entry_sums_up_its_seeds() -> None:
    cells = [make_cell(seed=seed, hits=(900 + 10 * seed, 90, 720)) for seed in range(3)]
    (entry,) = only(of(*cells)).entries
    acc = entry.metrics["acc"]
    assert (entry.seeds, entry.codes, entry.images) == (
        (0, 1, 2),
        {"ok": 3},
        {"acc": 1000, "asr": 900, "rc": 900},
    )
    assert acc.values == (0.9, 0.91, 0.92)
    assert (acc.low, acc.high) == tuple(map(tidy, student([0.9, 0.91, 0.92])))
    assert entry.cost == {"seconds": 3.0, "peak_bytes": 10**8, "clean_samples": 50}


def test_one_seed_has_wilson_intervals_of_its_counts() -> None:
    (entry,) = only(of(make_cell(hits=(900, 90, 720)))).entries
    for metric, hits, total in (("acc", 900, 1000), ("asr", 90, 900), ("rc", 720, 900)):
        assert (entry.metrics[metric].low, entry.metrics[metric].high) == tuple(
            map(tidy, wilson(hits, total))
        )
    assert entry.metrics["der"].low is None


def test_statuses_and_reasons_stay_visible() -> None:
    cells = [
        make_cell(seed=0),
        make_cell(seed=1, code="n/a", reason="no convolution"),
        make_cell(seed=2, code="failed", reason="boom"),
    ]
    (entry,) = only(of(*cells)).entries
    assert entry.codes == {"failed": 1, "n/a": 1, "ok": 1}
    assert entry.reasons == ("no convolution", "boom")


def test_tables_are_of_what_can_be_compared() -> None:
    cells = [
        make_cell(),
        make_cell(protocol="other@1"),
        make_cell(model=provided("wide")),
        make_cell(recipe=Recipe(epochs=9).params),
        make_cell(clean_budget=0.1),
    ]
    assert [s.title for s in of(*cells).sections] == [
        "other@1 · pictures · net",
        "trial@1 · pictures · net · epochs=2 · clean_budget=0.05",
        "trial@1 · pictures · net · epochs=2 · clean_budget=0.1",
        "trial@1 · pictures · net · epochs=9 · clean_budget=0.05",
        "trial@1 · pictures · wide",
    ]


def test_one_attack_at_two_ratios_is_two_rows() -> None:
    cells = [make_cell(provided("patch", poison_ratio=ratio, size=3)) for ratio in (0.01, 0.1)]
    assert [a.label for a in only(of(*cells)).attacks] == [
        "patch (poison_ratio=0.01)",
        "patch (poison_ratio=0.1)",
    ]


def test_the_baseline_and_what_survives() -> None:
    cells = [
        make_cell("a", d, seed, (900, hits, 0))
        for d, hits in (("x", 90), ("y", 270))
        for seed in (0, 1)
    ]
    (attack,) = only(of(*cells)).attacks
    assert attack.baseline["asr"].values == (1.0, 1.0)
    assert attack.survival == 0.2


def test_the_order_of_rows_changes_no_byte() -> None:
    rows = [
        row_of(make_cell(a, d, s, (900, 9 * s, 0)))
        for a in ("nothing", "a", "b")
        for d in ("x", "y")
        for s in range(3)
    ]
    shuffled = list(rows)
    random.Random(0).shuffle(shuffled)
    assert publication(board(rows)) == publication(board(shuffled))


def test_what_is_doubtful_stands_in_a_table_of_its_own() -> None:
    """What a cell says of itself once for all seeds, and the seed whose ASR of 80 % lies far from
    10 and 11 %.
    """
    hits = ((0, 90), (1, 99), (2, 720))
    cells = [
        make_cell(seed=seed, hits=(900, hit, 0), doubts=("strange <b>",)) for seed, hit in hits
    ]
    (section,) = board([row_of(cell) for cell in cells]).sections
    (entry,) = section.entries
    assert entry.doubts == ("strange <b>", "seed 2 lies far from its siblings in ASR: 80.0 %")
    (table,) = [table for table in headline_tables(section) if table.title == "Doubtful results"]
    assert table.rows == tuple(("patch", "mend", doubt) for doubt in entry.doubts)


def test_the_undefended_model_is_that_of_the_row_without_a_defense() -> None:
    """The same seed gives other weights on another processor, and so another baseline."""
    there, here = (Metrics(acc=0.95, asr=asr, rc=0.0) for asr in (0.5, 0.9))
    cells = [
        make_cell("patch", "a_first_name", baseline=there),
        make_cell("patch", "none", hits=(950, 810, 0), baseline=here),
        make_cell("patch", "zeal", baseline=there),
    ]
    (section,) = board(map(row_of, cells)).sections
    assert section.attacks[0].baseline["asr"].mean == 0.9
