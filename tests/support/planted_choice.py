"""A case in which the choice on the validation split and the choice on the test set differ, and
what each must choose.

One row of three pixels: left, right, corner. Class 0 is bright on the left, class 1 on the right; a
white corner makes anything class 1, which is the backdoor. On the defender's images class 1 shows
by its white corner alone, so that to prune the corner costs half of accuracy there; on the test
images it costs nothing.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor, nn

from benchbd.data.images import ImageSet
from benchbd.data.poisoned import TriggeredSet
from benchbd.defense.case import Case
from benchbd.engine.classifier import Classifier
from benchbd.engine.hardware import hardware
from benchbd.engine.inference import predict
from benchbd.record.manifest import AttackCost
from support.tiny_networks import Network

LAYER = "network.body.norm"
MASKS = {LAYER: torch.tensor([0.9, 0.8, 0.3])}
"""Of the channels left, right and corner: the corner is pruned first, at every threshold from 0.35
on.
"""


class Cornered(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 3, (1, 3), bias=False), nn.BatchNorm2d(3)
        with torch.no_grad():
            self.conv.weight.copy_(torch.diag(torch.tensor([2.0, 2, 9]))[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.norm(self.conv(x))).mean((2, 3))


def cornered() -> Classifier:
    model = Classifier(Network(Cornered(), width=3), (0.0,), (1.0,)).eval()
    model.network.head = nn.Linear(3, 2)
    with torch.no_grad():
        model.head.weight.copy_(torch.tensor([[1.0, -1, -1], [-1, 1, 1]]))
        model.head.bias.zero_()
    return model


def pixels(bright: list[int]) -> Tensor:
    """One image (1, 1, 3) for each, bright at the given place."""
    images = torch.zeros(len(bright), 1, 1, 3, dtype=torch.uint8)
    images[torch.arange(len(bright)), 0, 0, torch.tensor(bright)] = 200
    return images


def case() -> Case:
    """Undefended: ACC 1 and ASR 1. Without the corner: ACC 1 and ASR 0, and 0.5 on the validation
    split.
    """
    names, labels = ("left", "right"), torch.arange(40) % 2
    test = ImageSet(pixels([0, 1] * 20), labels, names)
    triggered = pixels([0] * 20)
    triggered[..., 2] = 255
    model = cornered()
    attack: Any = SimpleNamespace(
        model=model,
        manifest=SimpleNamespace(cost=AttackCost(device="cpu", precision="fp32")),
        clean_predictions=predict(model, test.images, precision="fp32"),
        triggered_predictions=predict(model, triggered, precision="fp32"),
        seed=0,
        train=SimpleNamespace(
            clean=ImageSet(pixels([0, 2] * 20), labels, names), untouched=lambda: torch.arange(40)
        ),
        test=test,
        triggered=TriggeredSet(
            torch.arange(0, 40, 2), triggered, torch.zeros(20).long(), torch.ones(20).long()
        ),
    )
    return Case(cast(Any, attack), hardware("cpu", "fp32"), "planted", budget=0.5)
