"""Parameters from elsewhere in our own networks: what fits is restored, what does not is named."""

from __future__ import annotations

import math

import pytest
import torch

from benchbd.data.images import ImageSet
from benchbd.errors import RecordError
from benchbd.importing.architecture import (
    are_usable,
    recognised,
    released,
    require_state,
    restored,
    restored_by_name,
)
from benchbd.plugin.registry import create
from benchbd.victim.model import Model

NEUTRAL = ((0.0,) * 3, (1.0,) * 3)


@pytest.fixture
def model() -> Model:
    return create(Model, "preact_resnet18", {"width": 2})


@pytest.mark.parametrize(
    ("mean", "std", "usable"),
    [
        ((0.5, 0.5, 0.5), (0.2, 0.2, 0.2), True),
        ((0.5,), (0.2,), False),
        ((0.5, 0.5, math.nan), (0.2, 0.2, 0.2), False),
        ((0.5, 0.5, 0.5), (0.2, 0.2, 0.0), False),
        ((0.5, 0.5, 0.5), (0.2, math.inf, 0.2), False),
    ],
)
def test_statistics_that_images_can_be_normalised_by(
    mean: tuple[float, ...], std: tuple[float, ...], usable: bool
) -> None:
    assert are_usable((mean, std), 3) is usable


def test_what_is_released_is_restored_under_its_names_elsewhere(
    model: Model, images: ImageSet
) -> None:
    ours = model.classifier(images, seed=0)
    state = released(model, ours.network)
    assert state.keys() == set(model.foreign_names(ours.network).values())
    again = restored(model, state, images, NEUTRAL)
    own = ours.network.state_dict()
    assert all(torch.equal(v, own[name]) for name, v in again.network.state_dict().items())


@pytest.mark.parametrize("prefix", ["", "module.", "module.network.", "network."])
def test_our_own_names_may_have_been_wrapped(model: Model, images: ImageSet, prefix: str) -> None:
    own = model.classifier(images, seed=0).network.state_dict()
    again = restored(model, {prefix + name: v for name, v in own.items()}, images, NEUTRAL)
    assert torch.equal(again.network.state_dict()["head.weight"], own["head.weight"])


def test_what_lacks_is_strange_or_of_another_shape_is_named(model: Model, images: ImageSet) -> None:
    state = released(model, model.classifier(images, seed=0).network)
    name = next(iter(state))
    for changed, words in (
        ({key: v for key, v in state.items() if key != name}, rf"it lacks {name}"),
        (state | {"extra": torch.zeros(1)}, "unknown are extra"),
        (state | {name: torch.zeros(1)}, rf"{name} has \(1,\), expected \("),
    ):
        with pytest.raises(RecordError, match=words):
            restored(model, changed, images, NEUTRAL)


def test_counters_that_old_versions_did_not_store_are_not_missed(
    model: Model, images: ImageSet
) -> None:
    state = released(model, model.classifier(images, seed=0).network)
    without = {name: v for name, v in state.items() if not name.endswith("num_batches_tracked")}
    assert len(without) < len(state)
    restored(model, without, images, NEUTRAL)


def test_a_name_from_elsewhere_finds_our_model(images: ImageSet, model: Model) -> None:
    state = released(model, model.classifier(images, seed=0).network)
    found, classifier = restored_by_name("preactresnet18", state, images, NEUTRAL)
    assert (found.name, found.params["width"]) == ("preact_resnet18", 2)
    assert classifier.head.out_features == 3
    assert list(recognised("no such network")) == []
    with pytest.raises(RecordError, match="no model here is known elsewhere as 'no such network'"):
        restored_by_name("no such network", state, images, NEUTRAL)


@pytest.mark.parametrize("state", [None, {}, {"a": 1}, {1: torch.zeros(1)}, [torch.zeros(1)]])
def test_what_is_no_table_of_parameters_is_refused(state: object) -> None:
    with pytest.raises(RecordError, match=r"a\.pt: expected a table of parameters by name"):
        require_state(state, "a.pt")
