"""What work costs."""

from __future__ import annotations

import copy
import time

import pytest
import torch
from torch import nn

from benchbd.data.images import ImageSet
from benchbd.engine.classifier import Classifier
from benchbd.engine.counting import exclude_from_cost, measure_cost
from benchbd.engine.inference import features, predict
from benchbd.engine.recipe import Recipe
from benchbd.engine.sweep import sweep_predictions
from benchbd.engine.training import fit
from benchbd.engine.units import path_by_number

CPU = torch.device("cpu")


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.head = nn.BatchNorm2d(3), nn.Linear(3, 3)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return self.norm(images).mean((2, 3))  # type: ignore[no-any-return]


def counted() -> Classifier:
    return Classifier(Tiny(), (0.5,) * 3, (0.2,) * 3).eval()


def test_forward_and_backward_samples(images: ImageSet) -> None:
    model = counted()
    with measure_cost(CPU) as cost:
        predict(model, images.images)
        fit(model, images, Recipe(epochs=2, batch_size=16, precision="fp32"), torch.Generator())
    assert (cost.forward_samples, cost.backward_samples) == (60 + 2 * 60, 2 * 60)
    assert cost.optimizer_steps == 2 * 4


def test_nothing_is_counted_outside(images: ImageSet) -> None:
    model = counted()
    predict(model, images.images)
    with measure_cost(CPU) as cost:
        pass
    predict(model, images.images)
    assert (cost.forward_samples, cost.backward_samples, cost.optimizer_steps) == (0, 0, 0)


def test_a_copy_counts_too_and_the_innermost_measurement_takes_it(images: ImageSet) -> None:
    model = copy.deepcopy(counted())
    with measure_cost(CPU) as outer:
        predict(model, images.images[:10])
        with measure_cost(CPU) as inner:
            predict(model, images.images[:7])
        predict(model, images.images[:5])
    assert (outer.forward_samples, inner.forward_samples) == (15, 7)


@pytest.mark.slow
def test_what_is_left_out_costs_neither_samples_nor_time(images: ImageSet) -> None:
    model = counted()
    with measure_cost(CPU) as cost:
        predict(model, images.images[:7])
        with exclude_from_cost():
            predict(model, images.images)
            time.sleep(0.5)
    assert cost.forward_samples == 7
    assert 0 <= cost.seconds < 0.4
    with exclude_from_cost():
        predict(model, images.images)


def test_seconds_and_memory_are_kept_even_after_an_error() -> None:
    try:
        with measure_cost(CPU) as cost:
            time.sleep(0.02)
            raise KeyError
    except KeyError:
        pass
    assert 0.02 <= cost.seconds < 5
    assert cost.peak_bytes > 2**20


def test_features_count_and_so_does_every_step_of_a_sweep_that_prunes_something(
    images: ImageSet,
) -> None:
    model = counted()
    with measure_cost(CPU) as cost:
        features(model, images.images[:20])
    assert (cost.forward_samples, cost.backward_samples) == (20, 0)
    path = path_by_number({"network.norm": torch.tensor([0.1, 0.2, 0.3])}, [0, 1, 1, 3], "scale")
    with measure_cost(CPU) as cost:
        sweep_predictions(model, path, images.images[:20])
    # one image shows that the graph does as the network does; 20 for the unpruned network, 20 for
    # each of two steps
    assert cost.forward_samples == 1 + 3 * 20
