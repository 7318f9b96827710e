"""The comparison of two defenses against the same attacked model, image by image: McNemar's test on
their stored predictions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from benchbd.audit.ground_truth import ImageLabels
from benchbd.errors import RecordError, nearest
from benchbd.leaderboard.board.contents import Board, Pairing, Section
from benchbd.leaderboard.board.paired_tests import mcnemar
from benchbd.leaderboard.board.ranking import Comparison
from benchbd.leaderboard.board.row import Row
from benchbd.record.cells import read_cell
from benchbd.record.predictions import read_predictions


@dataclass(frozen=True, slots=True)
class OneSidedCounts:
    """How many images count for the first of two methods only, and for the second only. p: the
    probability of so uneven a split, or a more uneven one, if the methods were equal.
    """

    only_first: int
    only_second: int
    p: float

    @classmethod
    def of(cls, first: Tensor, second: Tensor) -> OneSidedCounts:
        """Return the counts from which images, (N,) bool, count for each of the two."""
        ones, others = int((first & ~second).sum()), int((second & ~first).sum())
        return cls(ones, others, mcnemar(ones, others))


@dataclass(frozen=True, slots=True)
class ImageComparison:
    """Two defenses of one attacked model. The counts are of clean images that only one defense
    classifies correctly, and of triggered images that fool only one.
    """

    attack: str
    seed: int
    right: OneSidedCounts
    fooled: OneSidedCounts


def sections_of(board: Board, first: str, second: str) -> list[Section]:
    """Return the tables that have both defenses. Raises `RecordError` if there is none."""
    known = {
        section.title: [defense.label for defense in section.defenses] for section in board.sections
    }
    for name in (first, second):
        names = sorted({label for labels in known.values() for label in labels})
        if name not in names:
            raise RecordError(
                "the board has no defense "
                f"{name!r}{nearest(name, names, 'it has ' + ', '.join(names))}"
            )
    found = [section for section in board.sections if {first, second} <= set(known[section.title])]
    if not found:
        tables = "; ".join(
            f"{name} in {', '.join(t for t in known if name in known[t])}"
            for name in (first, second)
        )
        raise RecordError(f"no table has both of {first} and {second}: {tables}")
    return found


def comparison(section: Section, first: str, second: str) -> Comparison | None:
    """Return the test of two defenses over attacks; None where one of them is not ranked."""
    return next(
        (c for c in section.ranking.comparisons if {c.better, c.worse} == {first, second}), None
    )


def image_comparisons(
    section: Section, first: str, second: str, results: Path
) -> Iterator[ImageComparison]:
    """Yield one comparison for each attacked model for which both have predictions. Raises
    `RecordError` or `DataError`.
    """
    answers = ImageLabels()
    for _, entries in section.by_attack():
        ours, theirs = (next(e for e in entries if e.defense == name) for name in (first, second))
        for seed in sorted(set(ours.seeds) & set(theirs.seeds)):
            mine, other = _row(ours, seed), _row(theirs, seed)
            if mine.attacked_model == other.attacked_model:
                files = results / mine.file, results / other.file
                yield _duel(ours.attack, seed, *files, answers)


def _row(entry: Pairing, seed: int) -> Row:
    return next(row for row in entry.cells if row.seed == seed)


def _duel(
    attack: str, seed: int, first: Path, second: Path, answers: ImageLabels
) -> ImageComparison:
    cells = read_cell(first), read_cell(second)
    test, triggered = answers.of(cells[0])
    predicted = read_predictions(first, cells[0]), read_predictions(second, cells[1])
    if (
        len({(len(clean), len(attacked)) for clean, attacked in (*predicted, (test, triggered))})
        > 1
    ):
        raise RecordError(
            f"{first} and {second} have predictions of other images than the data set gives; "
            "`benchbd verify` them"
        )
    right = [clean == test.labels for clean, _ in predicted]
    fooled = [
        (attacked == triggered.attacked_labels) & triggered.scored for _, attacked in predicted
    ]
    return ImageComparison(attack, seed, OneSidedCounts.of(*right), OneSidedCounts.of(*fooled))
