"""Curves measured along training."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchbd.data.images import ImageSet
from benchbd.data.poisoned import TriggeredSet
from benchbd.engine.progress import epoch_done
from benchbd.measure.along_training import TrainingMeasurements, measure_along_training
from benchbd.measure.shares import CurvePoint


class Constant(nn.Module):
    """Takes every image for one class."""

    def __init__(self, answer: int) -> None:
        super().__init__()
        self.answer = nn.Parameter(torch.nn.functional.one_hot(torch.tensor(answer), 3).float())
        self.last: nn.Module = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.answer.expand(len(images), -1))  # type: ignore[no-any-return]


@pytest.fixture
def triggered(images: ImageSet) -> TriggeredSet:
    """All images of the classes 1 and 2, to be taken for 0."""
    places = torch.nonzero(images.labels != 0)[:, 0]
    return TriggeredSet(
        places, images.images[places], images.labels[places], torch.zeros(40, dtype=torch.int64)
    )


def test_points_by_hand(images: ImageSet, triggered: TriggeredSet) -> None:
    along = TrainingMeasurements()
    along.measure(Constant(0), images, triggered, 3.0, "fp32")
    along.measure(Constant(2), images, triggered, 4.0, "fp32")
    assert along.points == [
        CurvePoint(value=3.0, acc=1 / 3, asr=1.0, rc=0.0),
        CurvePoint(value=4.0, acc=1 / 3, asr=0.0, rc=0.5),
    ]


def test_predictions_are_known_of_the_last_model_until_it_changes(
    images: ImageSet, triggered: TriggeredSet
) -> None:
    along, model, twin = TrainingMeasurements(), Constant(1), Constant(1)
    assert along.predictions_of(model) is None
    along.measure(model, images, triggered, 1.0, "fp32")
    known = along.predictions_of(model)
    assert known is not None and [set(part.tolist()) for part in known] == [{1}, {1}]
    assert along.predictions_of(twin) is None
    with torch.no_grad():
        model.answer.mul_(2)
    assert along.predictions_of(model) is None


def wrap(model: nn.Module) -> None:
    model.last = nn.Sequential(nn.Identity(), model.last)


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.last.register_forward_hook(lambda module, inputs, output: -output),
        lambda model: model.register_forward_pre_hook(lambda module, inputs: None),
        lambda model: setattr(
            model, "forward", lambda images: model.answer.expand(len(images), -1).flip(1)
        ),
        wrap,
    ],
    ids=[
        "a hook on a layer",
        "a hook before all",
        "another forward",
        "a layer in place of another",
    ],
)
def test_what_acts_at_measuring_time_is_a_change(
    images: ImageSet, triggered: TriggeredSet, change: Any
) -> None:
    along, model = TrainingMeasurements(), Constant(1)
    along.measure(model, images, triggered, 1.0, "fp32")
    change(model)
    assert along.predictions_of(model) is None


def test_every_second_epoch(images: ImageSet, triggered: TriggeredSet) -> None:
    with measure_along_training(images, lambda: triggered, 2) as along:
        for epoch in range(1, 6):
            epoch_done(Constant(epoch % 3), epoch)
    epoch_done(Constant(0), 6)
    assert [(point.value, point.asr) for point in along.points] == [(2.0, 0.0), (4.0, 0.0)]


def test_never(images: ImageSet) -> None:
    def refuse() -> TriggeredSet:
        raise AssertionError

    with measure_along_training(images, refuse, 0) as along:
        epoch_done(Constant(0), 1)
    assert along.points == []
