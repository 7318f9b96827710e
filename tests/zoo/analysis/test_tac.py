"""Trigger-activated change: a planted network of which one channel alone sees the patch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from benchbd.api import BACKDOORED, Classifier, NotApplicable, Pairs, Scene
from benchbd.testing.trial import hand_over
from benchbd_zoo.analysis import tac
from benchbd_zoo.analysis.tac import TAC, changes_of, rank_correlation
from support.tiny_networks import Network

WATCHED = 3
"""The channel that sees the place of the patch."""


def planted() -> Classifier:
    """A convolution of one pixel: channel 3 reads red, the others read blue."""
    convolution = nn.Conv2d(3, 6, 1, bias=False)
    weight = torch.zeros(6, 3, 1, 1)
    weight[:, 2] = 1
    weight[WATCHED] = torch.tensor([2.0, 0, 0])[:, None, None]
    convolution.weight.data = weight
    body = nn.Sequential(convolution, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Classifier(Network(body), (0.0,) * 3, (1.0,) * 3).eval()


def red_patch(count: int = 5) -> Pairs:
    """Two of 4 x 4 pixels become red at full strength."""
    clean = torch.full((count, 3, 4, 4), 51, dtype=torch.uint8)
    clean[:, 0] = 0
    triggered = clean.clone()
    triggered[:, 0, 0, :2] = 255
    labels = torch.ones(count, dtype=torch.int64)
    return Pairs(clean, triggered, labels, torch.zeros_like(labels))


def test_only_the_channel_that_sees_the_patch_changes() -> None:
    """Its map changes by 2 at two places, an L2 norm of sqrt(8)."""
    (change,) = changes_of(planted(), red_patch()).values()
    expected = torch.zeros(6, dtype=torch.float64)
    expected[WATCHED] = 8**0.5
    torch.testing.assert_close(change, expected)


def test_batches_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = changes_of(planted(), red_patch(5))
    monkeypatch.setattr(tac, "BATCH", 2)
    for layer, change in changes_of(planted(), red_patch(5)).items():
        torch.testing.assert_close(change, whole[layer])


def test_a_pruned_channel_is_gone_and_a_damped_network_is_not() -> None:
    pruned, damped = planted(), planted()
    with torch.no_grad():
        pruned.network.body[0].weight[WATCHED] = 0  # type: ignore[index,union-attr,operator]
        damped.network.body[0].weight.mul_(0.5)  # type: ignore[index,union-attr,operator]
    handed = hand_over()
    scene = replace(
        handed.scene, models={BACKDOORED: planted(), "pruned": pruned, "damped": damped}
    )
    numbers = TAC().look(scene, handed.rng).numbers
    assert numbers["pruned"]["left"] == 0
    assert numbers["damped"]["left"] == pytest.approx(0.5)
    assert numbers["damped"]["order_kept"] == pytest.approx(1)
    assert "left" not in numbers[BACKDOORED]


def test_rank_correlation_by_hand() -> None:
    """1 - 6 * sum of squared differences of ranks / (n (n^2 - 1)), here of 1, 2, 3, 4 and 2, 1, 4,
    3.
    """
    first, second = torch.tensor([0.1, 0.2, 0.3, 0.4]), torch.tensor([5.0, 1.0, 9.0, 7.0])
    assert rank_correlation(first, second) == pytest.approx(1 - 6 * 4 / (4 * 15))


def test_a_network_without_convolutions_has_no_maps() -> None:
    handed = hand_over()
    flat = Classifier(
        Network(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 6))), (0.0,) * 3, (1.0,) * 3
    )
    scene: Scene = replace(handed.scene, models={BACKDOORED: flat.eval()})
    with pytest.raises(NotApplicable, match="no convolution"):
        TAC().look(scene, handed.rng)
