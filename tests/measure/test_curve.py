"""Curves measured along training."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from benchbd.data.images import ImageSet
from benchbd.data.poisoned import TriggeredSet
from benchbd.engine.progress import epoch_done
from benchbd.measure.curve import Along, CurvePoint, along_training


class Constant(nn.Module):
    """Takes every image for one class."""

    def __init__(self, answer: int) -> None:
        super().__init__()
        self.answer = nn.Parameter(torch.nn.functional.one_hot(torch.tensor(answer), 3).float())

    def forward(self, images: Tensor) -> Tensor:
        return self.answer.expand(len(images), -1)


@pytest.fixture
def triggered(images: ImageSet) -> TriggeredSet:
    """All images of the classes 1 and 2, to be taken for 0."""
    places = torch.nonzero(images.labels != 0)[:, 0]
    return TriggeredSet(places, images.images[places], images.labels[places], torch.zeros(40, dtype=torch.int64))


def test_points_by_hand(images: ImageSet, triggered: TriggeredSet) -> None:
    along = Along()
    along.measure(Constant(0), images, triggered, 3.0, "fp32")
    along.measure(Constant(2), images, triggered, 4.0, "fp32")
    assert along.points == [
        CurvePoint(value=3.0, acc=1 / 3, asr=1.0, rc=0.0),
        CurvePoint(value=4.0, acc=1 / 3, asr=0.0, rc=0.5),
    ]


def test_predictions_are_known_of_the_last_model_until_it_changes(images: ImageSet, triggered: TriggeredSet) -> None:
    along, model, twin = Along(), Constant(1), Constant(1)
    assert along.predictions_of(model) is None
    along.measure(model, images, triggered, 1.0, "fp32")
    known = along.predictions_of(model)
    assert known is not None and [set(part.tolist()) for part in known] == [{1}, {1}]
    assert along.predictions_of(twin) is None
    with torch.no_grad():
        model.answer.mul_(2)
    assert along.predictions_of(model) is None


def test_every_second_epoch(images: ImageSet, triggered: TriggeredSet) -> None:
    with along_training(images, lambda: triggered, 2) as along:
        for epoch in range(1, 6):
            epoch_done(Constant(epoch % 3), epoch)
    epoch_done(Constant(0), 6)
    assert [(point.value, point.asr) for point in along.points] == [(2.0, 0.0), (4.0, 0.0)]


def test_never(images: ImageSet) -> None:
    def refuse() -> TriggeredSet:
        raise AssertionError

    with along_training(images, refuse, 0) as along:
        epoch_done(Constant(0), 1)
    assert along.points == []
