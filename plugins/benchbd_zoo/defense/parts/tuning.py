"""What the repairs that train on clean images share: their recipe as parameters, and the
classifier's head.
"""

from __future__ import annotations

import torch
from torch import nn

from benchbd.api import FineTuning, ImageSet, NotApplicable, Repair


class Tuning(FineTuning, Repair):
    """Base of the repairs that train on all clean images and choose nothing, so that they need no
    validation split.
    """


def epoch_of(images: ImageSet, least: int) -> ImageSet:
    """`images` as often as it takes to have `least` of them: what was made for thousands of images
    would not come far with a step or two in an epoch.
    """
    times = -(-least // len(images))
    return images if times <= 1 else images.subset(torch.arange(len(images)).repeat(times))


def head_of(model: nn.Module) -> nn.Linear:
    """The linear classifier on top of the features."""
    head = getattr(model, "head", None)
    if not isinstance(head, nn.Linear):
        raise NotApplicable(
            f"the network has no linear `head` to tune on its own, but {type(head).__name__}"
        )
    return head


@torch.no_grad()
def redraw(head: nn.Linear, rng: torch.Generator) -> None:
    """Draw weights and bias anew, in place: uniform in +-1/sqrt(fan_in)."""
    bound = head.in_features**-0.5
    for parameter in (head.weight, head.bias):
        if parameter is not None:
            parameter.copy_((2 * torch.rand(parameter.shape, generator=rng) - 1) * bound)
