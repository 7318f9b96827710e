"""The choice of the pairs that a scene shows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchbd.api import NotApplicable
from benchbd.testing.trial import hand_over


def test_pairs_are_of_one_scene_and_of_all_classes_in_turn() -> None:
    handed = hand_over()
    pairs = handed.scene.pairs(6)
    assert pairs.true_labels.tolist() == [1, 2, 3, 1, 2, 3]
    for clean, triggered in zip(pairs.clean, pairs.triggered, strict=True):
        place = next(i for i, image in enumerate(handed.test.images) if torch.equal(image, clean))
        changed = (clean != triggered).any(0)
        assert handed.test.labels[place] != 0
        assert bool((triggered[:, changed] == 255).all())  # the patch of the tiny attack
        assert int(changed.sum()) <= 36


def test_without_clean_versions_there_are_no_pairs() -> None:
    handed = hand_over()
    lost = replace(handed.triggered, indices=torch.full_like(handed.triggered.indices, -1))
    with pytest.raises(NotApplicable, match="no triggered test image with its clean version"):
        replace(handed.scene, triggered=lost).pairs(4)


def test_a_set_without_poison_is_no_poisoned_set() -> None:
    handed = hand_over(poison_ratio=0)
    with pytest.raises(NotApplicable, match="no training set with poisoned samples"):
        handed.scene.poisoned_set()
