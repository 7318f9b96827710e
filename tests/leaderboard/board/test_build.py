"""From rows to sections and entries."""

from __future__ import annotations

import random

import pytest
from sklearn.metrics import roc_auc_score

from benchbd.engine.recipe import Recipe
from benchbd.errors import RecordError
from benchbd.leaderboard.board.build import board
from benchbd.leaderboard.board.contents import Board, Section
from benchbd.leaderboard.board.interval import student, tidy, wilson
from benchbd.leaderboard.board.row import row_of
from benchbd.leaderboard.render.files import publication
from benchbd.leaderboard.render.tables import headline_tables
from benchbd.measure.shares import Metrics
from benchbd.record.cell import Cell, CellCost
from support.made_cells import attack_named, make_cell, measured, provided


def of(*cells: Cell) -> Board:
    return board(map(row_of, cells))


def only(found: Board) -> Section:
    (section,) = found.sections
    return section


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


def test_detectors_of_inputs_and_their_false_alarms() -> None:
    figures = {
        "auroc": 0.9,
        "tpr_at_1_fpr": 0.5,
        "tpr_at_5_fpr": 0.7,
        "tpr": 0.8,
        "fpr": 0.06,
        "threshold": 3.0,
    }
    cells = [
        make_cell("a", detection=figures),
        make_cell("b", detection=figures | {"auroc": 0.7}),
        make_cell("nothing", detection={"auroc": None, "fpr": 0.04}),
    ]
    (defense,) = only(of(*cells)).defenses
    facts = defense.detecting
    assert facts is not None
    assert (facts.auroc, facts.tpr_at_1_fpr, facts.tpr_at_5_fpr, facts.fpr) == (0.8, 0.5, 0.7, 0.06)
    assert (facts.clean_fpr, facts.clean_models) == (0.04, 1)
    assert (facts.models, facts.attacked) == (2, 2)


def test_a_detector_without_figures_for_some_models_says_so() -> None:
    cells = [make_cell(attack, "watch", detection={"auroc": 0.9}) for attack in "ab"]
    cells += [
        make_cell("c", "watch", code="timeout", reason="slow"),
        make_cell("d", "none"),
        make_cell("nothing", "none"),
    ]
    facts = next(d.detecting for d in only(of(*cells)).defenses if d.label == "watch")
    assert facts is not None
    assert (facts.models, facts.attacked) == (2, 4)


def test_detectors_of_models_are_judged_over_models() -> None:
    def verdict(attack: str, seed: int, flagged: bool, *scores: float) -> Cell:
        return make_cell(
            attack,
            seed=seed,
            detection={"flagged": flagged, "flagged_classes": [0], "scores": list(scores)},
        )

    bad, good = [3.0, 1.5, 2.5], [1.0, 2.0]
    cells = [verdict("a", seed, score > 2, 0.1, score) for seed, score in enumerate(bad)]
    cells += [verdict("nothing", seed, score > 1.9, score, 0.2) for seed, score in enumerate(good)]
    (defense,) = only(of(*cells)).defenses
    facts = defense.detecting
    assert facts is not None
    assert facts.auroc == pytest.approx(roc_auc_score([1, 1, 1, 0, 0], bad + good), abs=1e-6)
    assert facts.tpr == pytest.approx(2 / 3, abs=1e-6)
    assert (facts.clean_fpr, facts.clean_models) == (0.5, 2)


def test_what_is_no_figure_is_no_figure_of_a_detector() -> None:
    (entry,) = only(
        of(make_cell(detection={"auroc": "0.9", "tpr": 7, "fpr": None, "scores": ["high"]}))
    ).entries
    assert entry.detection == {}


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


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"key": "00ff"}, "not that of its coordinates"),
        (
            {"metrics": Metrics(acc=0.99, asr=0.1, rc=0.8, der=0.925)},
            "ACC is stored as 0.99, its counts give 0.9",
        ),
        ({"counts": None}, "no metrics or no counts"),
        ({"baseline": Metrics(acc=2.0, asr=1.0, rc=0.0)}, "shares"),
        (measured((900, 90, 720), None), "no baseline, from which its DER"),
        (
            measured((900, 90, 720), Metrics(acc=0.9, asr=None, rc=None)),
            "no baseline, from which its DER",
        ),
        ({"cost": CellCost(defense_seconds=1e300)}, "defense_seconds is 1e\\+300"),
    ],
)
def test_a_cell_that_contradicts_itself_is_not_believed(
    changed: dict[str, object], words: str
) -> None:
    with pytest.raises(RecordError, match=words):
        row_of(make_cell().model_copy(update=changed))


def test_asr_and_rc_cannot_exceed_all() -> None:
    cell = make_cell()
    assert cell.counts is not None
    with pytest.raises(RecordError, match="ASR \\+ RC exceeds 1"):
        row_of(
            cell.model_copy(update={"counts": cell.counts.model_copy(update={"attack_hits": 400})})
        )


def test_a_failure_with_metrics_is_not_believed() -> None:
    failed = make_cell(code="failed", attack=attack_named("a"))
    with pytest.raises(RecordError, match="did not end well"):
        row_of(failed.model_copy(update={"metrics": Metrics(acc=1.0, asr=0.0, rc=1.0)}))


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
