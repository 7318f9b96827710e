"""SEAM: wrong labels, when each phase ends, and steps of the port of backdoor-toolbox."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchbd.api import CleanSet, Repaired
from benchbd.engine.hardware import default_precision
from benchbd_zoo.defense.seam import SEAM, wrong
from support.inverting import victim
from support.tiny_networks import random_images

CLEAN = CleanSet(random_images(24, seed=1), random_images(8, seed=2))


def repaired(**options: Any) -> Repaired:
    with default_precision("fp32"):
        return SEAM(**options).repair(victim(), CLEAN, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("classes", [2, 5])
def test_labels_are_wrong_and_all_others_are_drawn(classes: int) -> None:
    labels = torch.arange(classes).repeat(2000)
    drawn = wrong(labels, classes, torch.Generator().manual_seed(0))
    assert not bool((drawn == labels).any())
    shares = torch.bincount(drawn[labels == 0], minlength=classes) / 2000
    assert shares[1:].tolist() == pytest.approx([1 / (classes - 1)] * (classes - 1), abs=0.05)


def test_when_phases_end() -> None:
    """Forgetting ends with the first accuracy below `acc_for`; none is below 0 or above 1."""
    one = repaired(acc_for=1.0, acc_rec=0.0, epoch_for=4, epoch_rec=4, forget_share=1.0, lr=1e-9)
    assert one.notes["forgetting_accuracies"][0] < 1
    assert len(one.notes["forgetting_accuracies"]) == 1
    every = repaired(acc_for=0.0, acc_rec=1.0, epoch_for=2, epoch_rec=3)
    assert len(every.notes["forgetting_accuracies"]) == 2
    assert len(every.notes["recovery_accuracies"]) == 3


@pytest.mark.parametrize(("share", "count"), [(0.25, 6), (0.001, 1), (1.0, 24)])
def test_how_many_images_are_for_forgetting(share: float, count: int) -> None:
    places = SEAM(forget_share=share)._few(24, torch.Generator())
    assert len(places.unique()) == len(places) == count


def test_as_the_reference_both_phases() -> None:
    """`detect` of vtu81/backdoor-toolbox at 9d4d909 (other_defenses_tool_box/SEAM.py), three passes
    of each phase, given the same wrong labels: the way of the head's bias.
    """
    model: Any = repaired(
        forget_share=1.0, acc_for=0.0, epoch_for=3, epoch_rec=3, acc_rec=1.0
    ).model
    way = model.head.bias - victim().head.bias
    assert way.tolist() == pytest.approx([0.005976, -0.005395, -0.005631, 0.003893], abs=1e-6)
