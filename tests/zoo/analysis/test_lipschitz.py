"""Lipschitz constants by hand, and against a planted channel that alone sees the trigger."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from benchbd.api import BACKDOORED, Classifier, NotApplicable, Pairs, Scene
from benchbd.testing.trial import hand_over
from benchbd_zoo.analysis.lipschitz import Lipschitz, constants_of, scores
from support.tiny_networks import Network, PreAct, classifier

WATCHED = 3


def planted(scale: float) -> Classifier:
    """Sixteen channels of 1x1; one reads red, scaled, and the others read blue, each a little
    differently.
    """
    convolution, norm = nn.Conv2d(3, 16, 1, bias=False), nn.BatchNorm2d(16)
    weight = torch.zeros(16, 3, 1, 1)
    weight[:, 2, 0, 0] = torch.linspace(0.9, 1.1, 16)
    weight[WATCHED, :, 0, 0] = torch.tensor([scale, 0, 0])
    convolution.weight.data = weight
    body = nn.Sequential(convolution, norm, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Classifier(Network(body, 16), (0.0,) * 3, (1.0,) * 3).eval()


def scene_of(model: Classifier) -> Scene:
    """Two of 32 x 32 pixels become red."""
    handed = hand_over()
    clean = torch.full((6, 3, 4, 4), 51, dtype=torch.uint8)
    clean[:, 0] = 0
    triggered = clean.clone()
    triggered[:, 0, 0, :2] = 255
    labels = torch.ones(6, dtype=torch.int64)
    pairs = Pairs(clean, triggered, labels, torch.zeros_like(labels))
    scene: Scene = replace(handed.scene, models={BACKDOORED: model})
    object.__setattr__(scene, "pairs", lambda count: pairs)
    return scene


def test_the_constant_by_hand() -> None:
    """A singular value of 2, gamma -3, variance 4 with eps: 2 * 3 / 2."""
    model = planted(2.0)
    norm = model.network.body[1]  # type: ignore[index,union-attr]
    with torch.no_grad():
        norm.weight[WATCHED] = -3  # type: ignore[union-attr,index]
        norm.running_var[WATCHED] = 4 - norm.eps  # type: ignore[union-attr,index,operator]
    (constants,) = constants_of(model).values()
    assert float(constants[WATCHED]) == pytest.approx(3)


def test_a_planted_channel_that_is_sensitive_is_found() -> None:
    found = Lipschitz().look(scene_of(planted(5.0)), torch.Generator())
    numbers = found.numbers[BACKDOORED]
    assert numbers["auroc"] == 1 and numbers["caught"] == 1
    assert numbers["largest"] > 3
    assert int(found.pictures["deepest_layer"].curves[BACKDOORED].argmax()) == 0  # type: ignore[union-attr]


def test_a_planted_channel_like_all_others_is_not_found() -> None:
    numbers = Lipschitz().look(scene_of(planted(1.0)), torch.Generator()).numbers[BACKDOORED]
    assert 0.3 < numbers["auroc"] < 0.7 and numbers["caught"] == 0


def test_a_norm_behind_an_addition_gives_no_constant() -> None:
    assert list(constants_of(classifier(PreAct()))) == ["network.body.conv1"]


def test_equal_constants_do_not_stand_out() -> None:
    assert scores(torch.tensor([2.0, 2.0])).tolist() == [0, 0]


def test_a_network_without_norms_is_refused() -> None:
    body = nn.Sequential(nn.Conv2d(3, 6, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(NotApplicable, match="BatchNorm"):
        constants_of(Classifier(Network(body), (0.0,) * 3, (1.0,) * 3).eval())
