"""Images in [0, 1] go in, and the head that is assigned is the head that runs."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from benchbd.engine.classifier import Classifier
from benchbd.errors import ContractBroken


class Means(nn.Module):
    """Features are the two channel means."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(2, 3)

    def features(self, images: Tensor) -> Tensor:
        return images.mean((2, 3))


class Doubled(nn.Module):
    """Twice the sum of the features, for each of three classes."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, features: Tensor) -> Tensor:
        return self.scale * features.sum(1, keepdim=True).expand(-1, 3)


@pytest.fixture
def model() -> Classifier:
    return Classifier(Means(), mean=(0.5, 0.25), std=(0.5, 0.25))


def test_features_are_of_normalised_images(model: Classifier) -> None:
    images = torch.stack([torch.full((4, 4), 0.75), torch.full((4, 4), 0.5)])[None]
    assert model.features(images).tolist() == [[0.5, 1.0]]


def test_an_assigned_head_is_the_one_that_runs(model: Classifier) -> None:
    images = torch.full((1, 2, 4, 4), 0.75)  # features 0.5 and 2
    model.head = Doubled()
    assert model(images).tolist() == [[5.0, 5.0, 5.0]]
    assert model.head is model.network.head
    assert model.features(images).tolist() == [[0.5, 2.0]]
    assert list(model.state_dict()) == ["mean", "std", "network.head.scale"]


def test_a_copy_has_a_head_of_its_own(model: Classifier) -> None:
    model.head = Doubled()
    twin = copy.deepcopy(model)
    twin.head = nn.Linear(2, 3)
    assert isinstance(model.head, Doubled) and isinstance(twin.network.head, nn.Linear)


@pytest.mark.parametrize("verb", ["forward", "features"])
def test_uint8_is_refused(model: Classifier, verb: str) -> None:
    images = torch.zeros(5, 2, 4, 4, dtype=torch.uint8)
    with pytest.raises(
        ContractBroken,
        match=r"images in \[0, 1\], got uint8 of shape \(5, 2, 4, 4\); call it with `to_float",
    ):
        getattr(model, verb)(images)


def test_a_model_can_be_traced(model: Classifier) -> None:
    images = torch.rand(2, 2, 4, 4)
    assert torch.equal(torch.fx.symbolic_trace(model)(images), model(images))
