"""The defense keeps the contract, and changes the head alone."""

from __future__ import annotations

from typing import Any

import torch
from benchbd_example.new_head import NewHead

from benchbd.api import accuracy
from benchbd.testing import parametrize_with_checks
from benchbd.testing.trial import hand_over


@parametrize_with_checks([NewHead])
def test_contract(check: Any) -> None:
    check()


def test_only_the_head_changes() -> None:
    handed = hand_over()
    before = {name: value.clone() for name, value in handed.model.state_dict().items()}
    after = NewHead(steps=2).repair(handed.model, handed.clean, handed.rng).state_dict()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == {"network.head.weight", "network.head.bias"}


def test_without_a_step_nothing_is_known() -> None:
    handed = hand_over()
    guessing = NewHead(steps=0).repair(handed.model, handed.clean, handed.rng)
    assert accuracy(guessing, handed.test.images, handed.test.labels) < 0.7


def test_a_new_head_learns_the_classes_again() -> None:
    handed = hand_over()
    learned = NewHead().repair(handed.model, handed.clean, handed.rng)
    assert accuracy(learned, handed.test.images, handed.test.labels) > 0.9


def test_a_head_without_bias_is_redrawn_as_well() -> None:
    handed = hand_over()
    handed.model.head.register_parameter("bias", None)
    learned = NewHead().repair(handed.model, handed.clean, handed.rng)
    assert accuracy(learned, handed.test.images, handed.test.labels) > 0.9
