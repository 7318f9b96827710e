"""Defenses that a test writes as one function, and what they are asked about afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchbd.api import CleanSet, DataFilter, InputDetector, ModelDetector, Repair, RobustTraining
from benchbd.defense.defense import Defense
from benchbd.record.attack_result import AttackResult
from benchbd.record.defense_result import DefenseResult

Verb = Callable[..., Any]


Run = Callable[..., DefenseResult]


def mend(act: Verb, **params: Any) -> Defense:
    class Mend(Repair):
        api = 1
        name = "mend"

        def repair(self, *handed: Any) -> Any:
            return act(*handed)

    return Mend(**params)


def school(act: Verb) -> Defense:
    class School(RobustTraining):
        api = 1
        name = "school"

        def train(self, *handed: Any) -> Any:
            return act(*handed)

    return School()


def sieve(act: Verb) -> Defense:
    class Sieve(DataFilter):
        api = 1
        name = "sieve"

        def score(self, *handed: Any) -> Any:
            return act(*handed)

    return Sieve()


class Door:
    """A scorer that scores with a function."""

    def __init__(self, act: Verb) -> None:
        self.act = act

    def score(self, images: Tensor) -> Any:
        return self.act(images)


def guard(act: Verb, prepare: Verb = lambda *_: None, **params: Any) -> Defense:
    class Guard(InputDetector):
        api = 1
        name = "guard"

        def fit(self, *handed: Any) -> Door:
            prepare(*handed)
            return Door(act)

    return Guard(**params)


def judge(act: Verb, holds_data: bool = True, **params: Any) -> Defense:
    class Judge(ModelDetector):
        api = 1
        name = "judge"

        def inspect(self, *handed: Any) -> Any:
            return act(*handed)

    Judge.holds_data = holds_data
    return Judge(**params)


class Constant(nn.Module):
    """Takes every image for one class."""

    def __init__(self, answer: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.eye(10)[answer])

    def forward(self, images: Tensor) -> Tensor:
        return self.logits.expand(len(images), -1)


def weights(model: nn.Module) -> Tensor:
    return torch.cat([value.detach().double().flatten() for value in model.state_dict().values()])


def wipe(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    return model


def patched(images: Tensor) -> Tensor:
    """Whether (N,) the white square of the stored attack is there."""
    return (images[:, :, 6:, 6:] == 255).flatten(1).all(1)


def require_clean_budget(clean: CleanSet, stored: AttackResult, share: float = 0.05) -> None:
    """True training images with their labels, none of them poisoned, the same share of
    each class.
    """
    original = stored.train.clean
    poisoned = set(stored.train.indices.tolist())
    for part in (clean.train, clean.validation):
        for image, label in zip(part.images, part.labels, strict=True):
            places = torch.nonzero((original.images == image).flatten(1).all(1))[:, 0].tolist()
            assert any(
                int(original.labels[place]) == int(label) and place not in poisoned
                for place in places
            )
    held = torch.bincount(clean.all().labels, minlength=10)
    assert held.tolist() == [
        round(share * count) for count in torch.bincount(original.labels).tolist()
    ]
