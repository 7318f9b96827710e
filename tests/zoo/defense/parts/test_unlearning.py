"""One pass of ascent: its step by hand, the accuracy before it, and shortened gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchbd.api import ImageSet
from benchbd.engine.hardware import default_precision
from benchbd_zoo.defense.parts.passes import Passes
from benchbd_zoo.defense.parts.unlearning import ascend, is_finite

IMAGES = ImageSet(
    torch.tensor([255, 0, 0, 255], dtype=torch.uint8).view(2, 1, 1, 2),
    torch.tensor([0, 1]),
    ("left", "right"),
)


def network() -> nn.Sequential:
    """Logits are the two pixels of an image."""
    head = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.eye(2))
    return nn.Sequential(nn.Flatten(), head)


@pytest.mark.parametrize("most", [None, 0.1])
def test_a_step_by_hand(most: float | None) -> None:
    """The gradient is (p - 1) / 2 for the label's weight, -(p - 1) / 2 for the other, p = e / (1 +
    e); ascent goes along it.
    """
    model = network()
    slope = (1 - torch.e / (1 + torch.e)) / 2
    if most is not None:
        slope *= most / (2 * slope)  # four equal entries: the norm is twice one of them
    sgd = torch.optim.SGD(model.parameters(), lr=1.0)
    with default_precision("fp32"):
        right = ascend(model, Passes(IMAGES, 2, torch.Generator()), sgd, most)
    assert right == 1
    moved = next(model.parameters()).detach() - torch.eye(2)
    torch.testing.assert_close(
        moved, slope * torch.tensor([[-1.0, 1], [1, -1]]), atol=1e-6, rtol=1e-4
    )


def test_whether_weights_are_numbers() -> None:
    model = network()
    assert is_finite(model)
    with torch.no_grad():
        next(model.parameters())[0, 0] = torch.inf
    assert not is_finite(model)
