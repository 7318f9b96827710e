"""MM-BD: the margin that a class can be driven to, and its chance beside those of the others."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from benchbd.api import CleanSet, ImageSet, NotApplicable
from benchbd.engine.classifier import Classifier
from benchbd_zoo.defense.mm_bd import MMBD, chance, margin

SIZES = (3, 4, 5, 6, 7)
"""Pixels that speak for each class."""


class Pixels(nn.Module):
    """Features: the sums of disjoint groups of pixels, one group for each class; the logits are the
    features, times `gains`.
    """

    def __init__(self, gains: list[float]) -> None:
        super().__init__()
        self.head = nn.Linear(len(SIZES), len(SIZES), bias=False)
        self.head.weight.data = torch.diag(torch.tensor(gains, dtype=torch.float32))

    def features(self, images: Tensor) -> Tensor:
        parts = images.flatten(1)[:, : sum(SIZES)].split(SIZES, 1)
        return torch.stack([part.sum(1) for part in parts], 1)


def speaking(*gains: float) -> Classifier:
    return Classifier(Pixels(list(gains)), (0.0,), (1.0,)).eval()


def nothing_held(classes: int) -> CleanSet:
    return CleanSet.empty(
        ImageSet(
            torch.zeros(1, 1, 5, 5, dtype=torch.uint8),
            torch.zeros(1, dtype=torch.int64),
            tuple("abcdefgh"[:classes]),
        )
    )


def inspected(model: Classifier) -> tuple[list[float], list[bool]]:
    verdict = MMBD(lr=0.1).inspect(model, nothing_held(5), torch.Generator().manual_seed(0))
    return verdict.notes["margins"], verdict.flagged.tolist()


def test_the_margin_is_the_largest_in_the_box() -> None:
    """Own pixels white, others black: the logit of the class is its number of pixels, times its
    gain, all others are 0.
    """
    margins, flagged = inspected(speaking(1, 1, 1, 1, 1))
    assert margins == pytest.approx(list(SIZES), abs=0.15)
    assert not any(flagged)


def test_a_class_that_can_be_made_far_surer_is_flagged() -> None:
    margins, flagged = inspected(speaking(1, 1, 9, 1, 1))
    assert margins[2] == pytest.approx(45, abs=1) and flagged == [False, False, True, False, False]


def test_the_score_is_the_logarithm_of_the_chance() -> None:
    found = MMBD(steps=20).inspect(speaking(1, 1, 9, 1, 1), nothing_held(5), torch.Generator())
    assert int(found.scores.argmax()) == 2 == found.notes["top"]
    assert 10 ** -float(found.scores[2]) == pytest.approx(found.notes["p"])


def test_the_margin_is_over_the_strongest_of_the_others() -> None:
    assert margin(torch.tensor([[1.0, 5, 3], [4, 1, 2]]), 0).tolist() == [-4, 2]


def test_equal_margins_tell_nothing() -> None:
    assert chance([2.0, 2, 2, 2, 7], 4) == 1


def test_the_model_is_left_alone() -> None:
    model = speaking(1, 1, 1, 1, 1).train()
    before = copy.deepcopy(model.state_dict())
    MMBD(steps=2).inspect(model, nothing_held(5), torch.Generator())
    assert model.training and all(p.requires_grad and p.grad is None for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_three_classes_are_too_few() -> None:
    with pytest.raises(NotApplicable, match=r"largest of 3 margins .* needs 4 classes"):
        MMBD().inspect(speaking(1, 1, 1, 1, 1), nothing_held(3), torch.Generator())


@pytest.mark.parametrize(("largest", "p"), [(25.4, 4.331402e-10), (13.4, 0.0968849)])
def test_as_the_reference_the_chance_of_a_margin(largest: float, p: float) -> None:
    """The statistics of wanghangpsu/MM-BD at 903338d (univ_bd.py), for margins made up."""
    margins = [10.1, 9.3, 11.2, 8.7, largest, 10.9, 9.9, 12.0, 9.1, 10.5]
    assert chance(margins, 4) == pytest.approx(p, rel=1e-5)


class Reference(nn.Module):
    """48 pixels, 12 neurons, ten classes, one of them louder."""

    def __init__(self) -> None:
        super().__init__()
        draws = torch.Generator().manual_seed(3)
        self.inner = nn.Parameter(torch.randn(12, 48, generator=draws) * 0.4)
        self.outer = nn.Parameter(torch.randn(10, 12, generator=draws) * 0.8)
        self.outer.data[4] += 1.5 * self.outer.data[4].sign()

    def forward(self, images: Tensor) -> Tensor:
        return torch.relu(images.flatten(1) @ self.inner.T) @ self.outer.T


@pytest.mark.slow
def test_as_the_reference_the_margins() -> None:
    """The ascent of wanghangpsu/MM-BD at 903338d (univ_bd.py), from the same images."""
    draws = torch.Generator().manual_seed(0)
    starts = [torch.rand(30, 3, 4, 4, generator=draws) for _ in range(5)]
    found = [MMBD()._largest_margin(Reference(), starts[label], label) for label in (0, 4)]
    assert found == pytest.approx([3.8243599, 40.6034126], rel=1e-4)
