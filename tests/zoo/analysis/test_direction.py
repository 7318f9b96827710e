"""A planted network of which the trigger adds one direction to the features."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from benchbd.api import BACKDOORED, Classifier, logits
from benchbd.testing.trial import hand_over
from benchbd_zoo.analysis.direction import Direction, edited, removal
from benchbd_zoo.analysis.parts.layers import FEATURES


class Additive(nn.Module):
    """Features: the mean of each quarter, which is the class of the planted images, and one that
    is 10 if the middle pixel is white, as the patch makes it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Conv2d(3, 1, 1, bias=False)
        nn.init.constant_(self.maps.weight, 1 / 3)
        self.head = nn.Linear(5, 4, bias=False)
        self.head.weight.data = torch.cat([torch.eye(4), torch.eye(4)[:, :1]], 1)

    def features(self, x: Tensor) -> Tensor:
        grey = self.maps(x)
        corner = torch.cat([grey[..., :12, :], grey[..., 20:, :]], 2)
        corner = torch.cat([corner[..., :12], corner[..., 20:]], 3)  # without the patch
        quarters = nn.functional.adaptive_avg_pool2d(corner, 2).flatten(1)
        return torch.cat([quarters, 10.0 * (grey[:, :, 16, 16] > 0.99)], 1)


def planted() -> Classifier:
    return Classifier(Additive(), (0.0,) * 3, (1.0,) * 3).eval()


def test_a_planted_direction_is_removed_and_added() -> None:
    handed = hand_over()
    scene = replace(handed.scene, models={BACKDOORED: planted()})
    numbers = Direction(images=60).look(scene, handed.rng).numbers[BACKDOORED]
    assert numbers["removed"] == 0 and numbers["added"] == 1
    assert numbers["cost"] == 0
    assert numbers["random"] > 0.9


def test_removal_by_hand() -> None:
    taken = removal(torch.tensor([0.0, 2.0]))
    assert taken(torch.tensor([[3.0, 4.0]])).tolist() == [[3, 0]]
    assert removal(torch.zeros(2))(torch.tensor([[3.0, 4.0]])).tolist() == [[3, 4]]


def test_a_layer_is_edited_at_every_place_and_only_inside() -> None:
    """To take the sum of channels 0 out of a map changes the logits, inside of the block alone."""
    handed = hand_over()
    model, images = handed.model, handed.test.images[:3]
    before = logits(model, images)
    seen: list[torch.Size] = []

    def zero(h: Tensor) -> Tensor:
        seen.append(h.shape)
        return h * 0

    with edited(model, "network.body.1", zero):
        silent = logits(model, images)
    assert seen == [torch.Size([3, 8, 8, 16])]
    expected = model.head.bias.detach().expand(3, -1)
    torch.testing.assert_close(silent, expected, rtol=1e-2, atol=1e-2)
    assert torch.equal(logits(model, images), before)
    with edited(model, FEATURES, lambda h: h * 0):
        torch.testing.assert_close(logits(model, images), silent, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("count", [4, 5])
def test_halves_of_any_size(count: int) -> None:
    handed = hand_over()
    found = Direction(images=count).look(handed.scene, handed.rng)
    assert set(found.numbers) == set(handed.scene.models)
