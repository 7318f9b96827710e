"""A few images that stand for all classes alike."""

from __future__ import annotations

import torch

from benchbd.data.in_turn import in_turn


def test_the_first_of_each_class_come_first_in_their_order() -> None:
    labels = torch.tensor([2, 2, 0, 2, -1, 0, 1])
    assert in_turn(labels, 4).tolist() == [0, 2, 4, 6]
    assert in_turn(labels, 100).tolist() == [0, 2, 4, 6, 1, 5, 3]


def test_no_images_no_places() -> None:
    assert in_turn(torch.zeros(0, dtype=torch.int64), 5).tolist() == []
