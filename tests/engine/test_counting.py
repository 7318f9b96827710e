"""What work costs."""

from __future__ import annotations

import copy
import time

import torch
from torch import nn

from benchbd.data.images import ImageSet
from benchbd.engine.counting import count_passes, measured, uncounted
from benchbd.engine.inference import predict
from benchbd.engine.recipe import Recipe
from benchbd.engine.training import fit

CPU = torch.device("cpu")


def counted() -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3))
    count_passes(model)
    return model


def test_forward_and_backward_samples(images: ImageSet) -> None:
    model = counted()
    with measured(CPU) as cost:
        predict(model, images.images)
        fit(model, images, Recipe(epochs=2, batch_size=16, precision="fp32"), torch.Generator())
    assert (cost.forward_samples, cost.backward_samples) == (60 + 2 * 48, 2 * 48)


def test_nothing_is_counted_outside(images: ImageSet) -> None:
    model = counted()
    predict(model, images.images)
    with measured(CPU) as cost:
        pass
    predict(model, images.images)
    assert (cost.forward_samples, cost.backward_samples) == (0, 0)


def test_a_copy_counts_too_and_the_innermost_measurement_takes_it(images: ImageSet) -> None:
    model = copy.deepcopy(counted())
    with measured(CPU) as outer:
        predict(model, images.images[:10])
        with measured(CPU) as inner:
            predict(model, images.images[:7])
        predict(model, images.images[:5])
    assert (outer.forward_samples, inner.forward_samples) == (15, 7)


def test_what_is_left_out_costs_neither_samples_nor_time(images: ImageSet) -> None:
    model = counted()
    with measured(CPU) as cost:
        predict(model, images.images[:7])
        with uncounted():
            predict(model, images.images)
            time.sleep(0.5)
    assert cost.forward_samples == 7
    assert 0 <= cost.seconds < 0.4
    with uncounted():
        predict(model, images.images)


def test_seconds_and_memory_are_kept_even_after_an_error() -> None:
    try:
        with measured(CPU) as cost:
            time.sleep(0.02)
            raise KeyError
    except KeyError:
        pass
    assert 0.02 <= cost.seconds < 5
    assert cost.peak_bytes > 2**20
