"""Counts of predicted classes by hand."""

from __future__ import annotations

import torch

from benchbd.data.images import ImageSet
from benchbd.data.poisoned import TriggeredSet
from benchbd.measure.counting import count
from benchbd.measure.shares import Counts, Metrics


def image_set(labels: list[int]) -> ImageSet:
    return ImageSet(
        torch.zeros(len(labels), 1, 2, 2, dtype=torch.uint8), torch.tensor(labels), ("a", "b", "c")
    )


def triggered_set(test: ImageSet, attacked: int) -> TriggeredSet:
    places = torch.nonzero(test.labels != attacked)[:, 0]
    return TriggeredSet(
        places, test.images[places], test.labels[places], torch.full_like(places, attacked)
    )


def test_counts_by_hand() -> None:
    test = image_set([0, 0, 1, 1, 2, 2, 2, 1])
    counts = count(
        torch.tensor([0, 1, 1, 1, 2, 0, 2, 1]),
        torch.tensor([0, 1, 2, 2, 0, 0]),
        test,
        triggered_set(test, 0),
    )
    # triggered images have the true labels 1 1 2 2 2 1 and are to be taken for 0
    assert counts == Counts(clean=8, clean_hits=6, triggered=6, attack_hits=3, true_hits=3)
    metrics = Metrics.from_counts(counts)
    assert (metrics.acc, metrics.asr, metrics.rc, metrics.der) == (0.75, 0.5, 0.5, None)


def test_all_to_all_by_hand() -> None:
    test = image_set([0, 1, 2, 2])
    triggered = TriggeredSet(torch.arange(4), test.images, test.labels, (test.labels + 1) % 3)
    counts = count(test.labels, torch.tensor([1, 2, 2, 1]), test, triggered)
    assert (counts.attack_hits, counts.true_hits) == (2, 1)


def test_a_class_that_does_not_exist_hits_nothing() -> None:
    test = image_set([0, 1, 2])
    rejected = torch.full((2,), 2**16 - 1)
    counts = count(torch.full((3,), 2**16 - 1), rejected, test, triggered_set(test, 0))
    assert (counts.clean_hits, counts.attack_hits, counts.true_hits) == (0, 0, 0)
