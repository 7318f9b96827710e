"""The classifier's head: found, or missed with a reason; drawn anew inside its bounds."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchbd.api import NotApplicable
from benchbd_zoo.defense.parts.tuning import epoch_of, head_of, redraw
from support.tiny_networks import InPlace, classifier, random_images


def test_the_head_is_the_last_linear_layer() -> None:
    model = classifier(InPlace())
    assert head_of(model) is model.network.head


def test_no_linear_head_is_an_answer() -> None:
    with pytest.raises(NotApplicable, match="no linear `head`"):
        head_of(nn.Sequential(nn.Linear(2, 2)))


@pytest.mark.parametrize("bias", [True, False])
def test_a_new_head_is_uniform_in_its_bounds(bias: bool) -> None:
    head = nn.Linear(25, 4000, bias=bias)
    redraw(head, torch.Generator().manual_seed(0))
    assert 0.1995 < head.weight.max() <= 0.2 and -0.2 <= head.weight.min() < -0.1995
    assert abs(float(head.weight.detach().std()) - 0.2 / 3**0.5) < 1e-3
    if bias:
        assert 0.19 < head.bias.max() <= 0.2 and -0.2 <= head.bias.min() < -0.19


@pytest.mark.parametrize(("least", "times"), [(1, 1), (10, 1), (11, 2), (30, 3), (95, 10)])
def test_a_small_set_is_passed_several_times_in_an_epoch(least: int, times: int) -> None:
    images = random_images(10)
    epoch = epoch_of(images, least)
    assert len(epoch) == 10 * times
    assert torch.equal(epoch.images, images.images.repeat(times, 1, 1, 1)) and torch.equal(
        epoch.labels, images.labels.repeat(times)
    )
