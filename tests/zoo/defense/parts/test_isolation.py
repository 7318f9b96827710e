"""Isolation: the lowest share, the boundary to the next sample, and a gradient that is turned."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from benchbd.errors import Diverged
from benchbd_zoo.defense.parts.isolation import ascent, boundary, lowest

VALUES = torch.tensor([0.2, 0.9, 0.3, 0.1, 0.3])


@pytest.mark.parametrize(
    ("share", "apart"),
    [(0.2, [3]), (0.4, [0, 3]), (0.6, [0, 2, 3]), (0.001, [3]), (0.99, [0, 2, 3, 4])],
)
def test_the_lowest_are_set_apart(share: float, apart: list[int]) -> None:
    assert torch.nonzero(lowest(VALUES, share))[:, 0].tolist() == apart


def test_the_boundary_lies_half_way_to_the_next() -> None:
    assert boundary(-VALUES, lowest(VALUES, 0.4)) == pytest.approx(-0.25)


def test_what_nothing_tells_apart_is_not_set_apart() -> None:
    tied = torch.tensor([0.3, 0.0, 0.0, 0.0])
    with pytest.raises(Diverged, match="3 of 4 training samples have the same suspicion"):
        boundary(tied, torch.tensor([True, True, False, False]))
    assert boundary(tied, torch.tensor([True, False, False, False])) == pytest.approx(0.15)


def test_ascent_turns_the_gradient() -> None:
    class Fixed(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return answer

    answer = torch.tensor([[0.0, 0.0], [0.0, 3.0], [2.0, 0.0]], requires_grad=True)
    labels = torch.tensor([0, 1, 1])
    ascent(Fixed(), torch.zeros(3, 1, 1, 1), labels).backward()
    torch.testing.assert_close(
        answer.grad, (torch.eye(2)[labels] - torch.softmax(answer.detach(), 1)) / 3
    )
