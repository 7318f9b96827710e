"""The search for triggers: all classes together against one at a time, the costs against the rule
written out, a planted patch.
"""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from benchbd.engine.hardware import default_precision
from benchbd_zoo.defense.parts.reversed_trigger import (
    CostSchedule,
    Search,
    _Problem,
    reverse,
    stamp,
)
from support.tiny_networks import CLASSES, InPlace, classifier, random_images

SEARCH = Search(
    steps=6,
    mini_batches=3,
    batch_size=8,
    mask_lr=0.1,
    init_cost=0.01,
    attack_succ_threshold=0.6,
    patience=2,
    cost_multiplier=1.5,
    early_stop=True,
    early_stop_threshold=0.99,
    early_stop_patience=3,
    at_once=1024,
)
IMAGES = random_images(40, seed=1).images


def searched(targets: list[int], search: Search = SEARCH) -> tuple[Tensor, ...]:
    model = classifier(InPlace()).requires_grad_(False)
    with default_precision("fp32"):
        found = reverse(
            model, IMAGES, torch.tensor(targets), search, torch.Generator().manual_seed(0)
        )
    return found.masks, found.patterns, found.cost, found.steps, found.norms()


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1024, 10])
def test_all_classes_together_find_what_each_finds_alone(at_once: int) -> None:
    search = dataclasses.replace(SEARCH, at_once=at_once)
    together = searched(list(range(CLASSES)), search)
    alone = [searched([label], search) for label in range(CLASSES)]
    for joint, *parts in zip(together, *alone, strict=True):
        torch.testing.assert_close(joint, torch.cat(parts), atol=2e-3, rtol=2e-3)
    assert len(set(together[4].tolist())) > 1, "the classes must differ for this to say something"


def test_stamping_is_the_formula() -> None:
    rng = torch.Generator().manual_seed(0)
    images, masks, patterns = (
        torch.rand(shape, generator=rng) for shape in ((5, 3, 4, 4), (2, 4, 4), (2, 3, 4, 4))
    )
    stamped = stamp(images, masks, patterns)
    assert stamped.shape == (2, 5, 3, 4, 4)
    assert (
        stamped[1, 4, 2, 3, 0]
        == (1 - masks[1, 3, 0]) * images[4, 2, 3, 0] + masks[1, 3, 0] * patterns[1, 2, 3, 0]
    )


class ByHand:
    """The rule for one class in plain Python, as the paper's code states it."""

    def __init__(self) -> None:
        self.cost, self.set, self.up, self.down = 0.0, 0, 0, 0
        self.went_up = self.went_down = False

    def advance(self, works: bool) -> None:
        if self.cost == 0 and works:
            self.set += 1
            if self.set >= 2:
                self.cost, self.up, self.down, self.went_up, self.went_down = (
                    0.01,
                    0,
                    0,
                    False,
                    False,
                )
        else:
            self.set = 0
        self.up, self.down = (self.up + 1, 0) if works else (0, self.down + 1)
        if self.up >= 2:
            self.up, self.went_up, self.cost = 0, True, self.cost * 1.5
        elif self.down >= 2:
            self.down, self.went_down, self.cost = 0, True, self.cost / 1.5**1.5


def test_the_cost_of_each_class_follows_the_rule() -> None:
    rng = torch.Generator().manual_seed(3)
    outcomes = torch.rand(60, 5, generator=rng) < torch.tensor([0.0, 0.3, 0.6, 0.8, 1.0])
    schedule, hands = CostSchedule(5, SEARCH), [ByHand() for _ in range(5)]
    for working in outcomes:
        schedule.advance(working, torch.ones(5))
        for hand, works in zip(hands, working.tolist(), strict=True):
            hand.advance(works)
        assert schedule.cost.tolist() == pytest.approx([hand.cost for hand in hands], rel=1e-4)
        assert schedule.went_up.tolist() == [hand.went_up for hand in hands]
        assert schedule.went_down.tolist() == [hand.went_down for hand in hands]
    assert hands[0].cost == 0 and hands[3].cost > 0 and hands[3].went_down


def test_a_class_stops_when_its_cost_went_both_ways_and_its_mask_shrinks_no_more() -> None:
    schedule = CostSchedule(2, SEARCH)
    wave = [True] * 6 + [False] * 2 + [True] * 4
    done = []
    for step, works in enumerate(wave):
        shrinking = 0.5**step
        done.append(
            schedule.advance(torch.tensor([works, works]), torch.tensor([5.0, shrinking])).tolist()
        )
    assert [first for first, _ in done].index(
        True
    ) == 8  # the cost first fell at the end of mini-epoch 7
    assert not any(second for _, second in done)


def test_a_class_without_a_trigger_counts_as_the_whole_image() -> None:
    *_, norms = searched(
        [0, 1], dataclasses.replace(SEARCH, steps=1, mini_batches=1, attack_succ_threshold=1.0)
    )
    assert 36 in norms.tolist()


@pytest.mark.slow
def test_as_the_reference_masks_and_costs() -> None:
    """Ten mini-epochs of `train_step` of SCLBD/BackdoorBench at f02e353 (defense/nc.py), class
    by class, whose cost was set to zero before, as here: L1 norms of the best masks and costs.
    """
    search = dataclasses.replace(SEARCH, init_cost=0.3)
    images = random_images(16, seed=1).images
    model = classifier(InPlace()).requires_grad_(False)
    start = torch.sin(torch.arange(4 * 36.0)).reshape(4, 6, 6)
    with default_precision("fp32"):
        problem = _Problem(
            model, torch.arange(CLASSES), images.shape[1:], search, torch.Generator()
        )
        with torch.no_grad():
            problem.mask.copy_(start[0].expand(CLASSES, 6, 6))
            problem.pattern.copy_(start[1:].expand(CLASSES, 3, 6, 6))
        for _ in range(10):
            hits = [problem.descend(batch) for batch in images.split(8)]
            rates, sizes = torch.stack(hits).mean(0)
            problem.judge(rates, sizes)
    found = problem.answer()
    assert found.norms().tolist() == pytest.approx([5.596, 10.7969, 8.3085, 3.9235], abs=1e-2)
    assert found.cost.tolist() == pytest.approx([1.51875, 0.367423, 0.367423, 1.51875], abs=1e-5)
