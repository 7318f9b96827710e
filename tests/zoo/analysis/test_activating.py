"""Top images of planted channels."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from benchbd.api import BACKDOORED, Classifier, NotApplicable
from benchbd.testing.trial import hand_over
from benchbd_zoo.analysis import activating
from benchbd_zoo.analysis.activating import Activating, channel_maps, poison_shares


class Planted(nn.Module):
    """Channel 0 is active where a pixel is white, as only the patch makes it; channel 1 is active
    where one is dark.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 2, 1)
        self.first.weight.data = torch.tensor([1.0, -1.0])[:, None, None, None].expand(2, 3, 1, 1)
        self.first.bias.data = torch.tensor([-2.9, 0.5])
        self.relu, self.head = nn.ReLU(), nn.Linear(2, 4)

    def features(self, x: Tensor) -> Tensor:
        return self.relu(self.first(x)).mean((2, 3))  # type: ignore[no-any-return]


def planted() -> Classifier:
    return Classifier(Planted(), (0.0,) * 3, (1.0,) * 3).eval()


def test_a_planted_channel_belongs_to_the_poison() -> None:
    handed = hand_over()
    found = Activating().look(replace(handed.scene, models={BACKDOORED: planted()}), handed.rng)
    numbers = found.numbers[BACKDOORED]
    assert numbers == {
        "channels": 0.5,
        "last_channels": 0.5,
        "highest": 1,
        "chance": pytest.approx(0.2),
    }
    picture = found.pictures["images"]
    assert picture.titles[0] == "channel 0\npoisoned"  # type: ignore[union-attr]
    heat = picture.rows[BACKDOORED][0]  # type: ignore[union-attr]
    patch = torch.zeros(32, 32, dtype=torch.bool)
    patch[13:19, 13:19] = True
    assert bool((heat[patch] > 0).all()) and not bool(heat[~patch].any())


def test_shares_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of four are poisoned: the top two of the first channel, and one of those of the second.
    With one image at most, the second channel has none.
    """
    h = torch.tensor([[9.0, 1], [8, 3], [7, 5], [6, 0]])
    poisoned = torch.tensor([True, True, False, False])
    assert poison_shares(h, poisoned).tolist() == [1, 0.5]
    monkeypatch.setattr(activating, "MOST", 1)
    assert poison_shares(h, poisoned).tolist() == [1, 0]


def test_a_model_without_the_layer_has_no_maps() -> None:
    handed = hand_over()
    channels = torch.zeros(2, dtype=torch.int64)
    assert channel_maps(handed.model, "other", handed.test.images[:2], channels) is None
    assert channel_maps(planted(), "network.first", handed.test.images[:2], channels + 5) is None


def test_test_images_are_no_substitute() -> None:
    handed = hand_over()
    with pytest.raises(NotApplicable, match="training set"):
        Activating().look(replace(handed.scene, train=None), handed.rng)
