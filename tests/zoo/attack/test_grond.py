"""Grond: which channels are smoothed and to what, when, and the set that is handed back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from benchbd.api import Recipe
from benchbd.data.images import ImageSet
from benchbd.data.poisoned import State
from benchbd_zoo.attack import grond
from benchbd_zoo.attack.grond import Grond, smooth
from benchbd_zoo.defense.clp import lipschitz_constants


class Pair(nn.Module):
    """A convolution of 16 channels and its BatchNorm, of which channel 5 stands out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 16, 3, bias=False), nn.BatchNorm2d(16)
        count = torch.arange(16.0)
        with torch.no_grad():
            waves = torch.sin(torch.arange(16 * 27.0) * 1.7) / 3
            self.conv.weight.copy_(waves.reshape(16, 3, 3, 3))
            self.bn.weight.copy_(1 + 0.3 * torch.cos(count * 2.1))
            self.bn.weight[5] = 4.0
            self.bn.bias.copy_(torch.sin(count * 0.7))
            self.bn.running_var.copy_(1 + 0.5 * torch.cos(count * 0.9))


def test_as_the_reference_smooths_a_channel() -> None:
    """`CLP` of xiaoyunxxy/parameter_backdoor at c52b0f7 (lipschitzness_pruning.py) with u = 3."""
    network = Pair()
    before = network.bn.weight.detach().clone()
    smooth(network, {"conv": "bn"}, u=3.0)
    assert torch.nonzero(network.bn.weight != before).flatten().tolist() == [5]
    assert network.bn.weight[5].item() == pytest.approx(1.2155847549438477, rel=1e-6)
    assert network.bn.bias[5].item() == pytest.approx(0.09882991015911102, rel=1e-5)


def test_no_channel_stands_out_afterwards_as_before() -> None:
    network = Pair()
    constants = lipschitz_constants(network, "conv", "bn")
    smooth(network, {"conv": "bn"}, u=3.0)
    limit = constants.mean() + 3 * constants.std()
    assert (constants > limit).any()
    assert not (lipschitz_constants(network, "conv", "bn") > limit).any()


def test_it_is_done_after_every_epoch_but_the_last(
    monkeypatch: pytest.MonkeyPatch, images: ImageSet, build_for: Any
) -> None:
    steps, smoothed = [0], []

    def fit(model: nn.Module, train: ImageSet, *_: Any, after_step: Any, **__: Any) -> nn.Module:
        for _ in range(9):
            steps[0] += 1
            after_step(model)
        return model.eval()

    monkeypatch.setattr(grond, "fit", fit)
    monkeypatch.setattr(grond, "smooth", lambda *_: smoothed.append(steps[0]))
    attack = Grond().with_trigger({"perturbation": torch.zeros(images.image_shape)})
    recipe = Recipe(epochs=3, batch_size=20)
    attack.train(build_for(images), images, recipe, torch.Generator().manual_seed(0))
    assert smoothed == [3, 6]  # 60 images are three batches


def test_the_set_is_that_of_upgd_and_is_handed_back(
    monkeypatch: pytest.MonkeyPatch, images: ImageSet, build_for: Any, short: Recipe
) -> None:
    seen: list[ImageSet] = []

    def fit(model: nn.Module, train: ImageSet, *_: Any, **__: Any) -> nn.Module:
        seen.append(train)
        return model.eval()

    monkeypatch.setattr(grond, "fit", fit)
    attack = Grond(target=1, poison_ratio=0.25).with_trigger(
        {"perturbation": torch.full(images.image_shape, 0.1)}
    )
    answer = attack.train(build_for(images), images, short, torch.Generator().manual_seed(0))
    assert answer.poisoned is not None
    assert answer.poisoned.clean is images
    assert answer.poisoned.count(State.POISONED) == 5
    assert set(answer.poisoned.labels.tolist()) == {1}
    assert seen[0].fingerprint() == answer.poisoned.as_seen().fingerprint()
