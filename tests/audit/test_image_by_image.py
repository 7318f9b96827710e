"""Two defenses image by image, with planted disagreements."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchbd.audit.ground_truth import ImageLabels
from benchbd.audit.image_by_image import (
    OneSidedCounts,
    _duel,
    comparison,
    image_comparisons,
    sections_of,
)
from benchbd.defense.defense import Defense
from benchbd.errors import RecordError
from benchbd.leaderboard.board.build import board, read_board
from benchbd.leaderboard.board.contents import Section
from benchbd.leaderboard.board.row import row_of
from benchbd.measure.counting import count
from benchbd.measure.shares import Metrics
from benchbd.plugin.registry import create
from benchbd.record.attack_result import AttackResult
from benchbd.record.cells import ResultStore
from benchbd.record.plugin_record import PluginRecord
from support.made_cells import make_cell


@pytest.fixture(scope="module")
def results(stored: AttackResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """No defense, and what claims to be another one: it resists on 7 more triggered images and errs
    on 4 more clean ones.
    """
    result = create(Defense, "none").defense(
        stored.path, device="cpu", save_path=tmp_path_factory.mktemp("none")
    )
    store, (test, triggered) = (
        ResultStore(tmp_path_factory.mktemp("results")),
        (stored.test, stored.triggered),
    )
    store.write(result.cell.place, result.cell, result.predictions())
    clean, attacked = result.clean_predictions.clone(), result.triggered_predictions.clone()
    fooled = torch.nonzero(attacked == triggered.attacked_labels)[:7, 0]
    attacked[fooled] = triggered.true_labels[fooled]
    right = torch.nonzero(clean == test.labels)[:4, 0]
    clean[right] = (test.labels[right] + 1) % test.num_classes
    counts = count(clean, attacked, test, triggered)
    about = result.cell.cell.model_copy(
        update={"defense": PluginRecord.of(create("defense", "ft"))}
    )
    metrics = Metrics.from_counts(counts, result.cell.baseline)
    cell = result.cell.model_copy(update={"cell": about, "counts": counts, "metrics": metrics})
    changed = type(result)(cell, result.model, clean, attacked)
    cell = cell.model_copy(update={"key": cell.cell.key(cell.protocol)})
    store.write(cell.place, cell, changed.predictions())
    return store.folder


@pytest.fixture
def section(results: Path) -> Section:
    found = read_board(results, {})
    assert found.faults == ()
    return found.sections[0]


def test_images_are_paired_only_on_the_same_weights(results: Path, section: Section) -> None:
    """One of the two started from a model that was made on another processor."""
    assert len(list(image_comparisons(section, "none", "ft", results))) == 1
    entries = tuple(
        replace(e, cells=tuple(replace(row, attacked_model="other") for row in e.cells))
        if e.defense == "ft"
        else e
        for e in section.entries
    )
    moved = replace(section, entries=entries)
    assert list(image_comparisons(moved, "none", "ft", results)) == []


def test_a_split_counts_what_only_one_has() -> None:
    first, second = torch.tensor([1, 1, 1, 0, 0, 0]).bool(), torch.tensor([1, 0, 0, 0, 1, 0]).bool()
    # two against one of three disagreements: p = 2 * (1 + 3) / 8, at most 1
    assert OneSidedCounts.of(first, second) == OneSidedCounts(2, 1, 1.0)


@pytest.mark.slow
def test_planted_disagreements_are_found(section: Section, results: Path) -> None:
    (duel,) = image_comparisons(section, "none", "ft", results)
    assert (duel.right.only_first, duel.right.only_second) == (4, 0)
    assert (duel.fooled.only_first, duel.fooled.only_second) == (7, 0)
    assert (duel.right.p, duel.fooled.p) == pytest.approx((2 / 16, 2 / 128))


def test_the_test_over_attacks_is_that_of_the_ranking(section: Section) -> None:
    found = comparison(section, "none", "ft")
    assert found is not None
    assert (found.attacks, found.p) == (1, 1.0)


def test_only_tables_that_have_both_are_compared() -> None:
    cells = [
        make_cell("a", d, protocol=f"{p}@1")
        for p, defenses in (("one", "xy"), ("two", "xz"))
        for d in defenses
    ]
    of = board(map(row_of, cells))
    assert [section.where.protocol for section in sections_of(of, "x", "y")] == ["one@1"]
    assert len(sections_of(of, "x", "x")) == 2
    with pytest.raises(
        RecordError, match=r"no table has both of y and z: y in one@1 .*; z in two@1"
    ):
        sections_of(of, "y", "z")
    with pytest.raises(RecordError, match=r"the board has no defense 'w'.*it has x, y, z"):
        sections_of(of, "x", "w")
    with pytest.raises(RecordError, match=r"no defense 'mendd'; did you mean 'mend'\? it has mend"):
        sections_of(board([row_of(make_cell())]), "mendd", "mend")


def test_bystanders_fool_nobody(
    stored: AttackResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two cells whose predictions differ in 9 triggered images, all of them of bystanders but 3."""
    result = create(Defense, "none").defense(stored.path, device="cpu", save_path=tmp_path / "none")
    hit = torch.nonzero(result.triggered_predictions == stored.triggered.attacked_labels)[:9, 0]
    bystander = torch.zeros(len(stored.triggered), dtype=torch.bool)
    bystander[hit[3:]] = True
    triggered = replace(stored.triggered, bystander=bystander)
    monkeypatch.setattr(ImageLabels, "of", lambda self, cell: (stored.test, triggered))
    spared = result.triggered_predictions.clone()
    spared[hit] = triggered.true_labels[hit]
    store = ResultStore(tmp_path)
    for name, predicted in (("0.json", result.triggered_predictions), ("1.json", spared)):
        store.write(
            name, result.cell, replace(result, triggered_predictions=predicted).predictions()
        )
    duel = _duel("badnet", 0, *(tmp_path / f"{n}.json" for n in range(2)), ImageLabels())
    assert (duel.fooled.only_first, duel.fooled.only_second, duel.right.only_first) == (3, 0, 0)
