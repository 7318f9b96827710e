"""Two answers are compared bit for bit, and what is not a number equals itself."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from benchbd.testing.trial import same

NAN = math.nan


@pytest.mark.parametrize(
    "answer", [torch.tensor([1.0, NAN, math.inf]), torch.tensor([True]), [NAN], {"loss": NAN}]
)
def test_an_answer_equals_its_like(answer: Any) -> None:
    assert same(
        answer, answer.clone() if isinstance(answer, torch.Tensor) else type(answer)(answer)
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (torch.tensor([1.0, NAN]), torch.tensor([NAN, 1.0])),
        (torch.tensor([1.0]), torch.tensor([1.0 + 2**-23])),
        (torch.ones(2), torch.ones(1)),
        (torch.ones(1), torch.ones(1, dtype=torch.int64)),
        ([NAN], [0.0]),
    ],
)
def test_an_answer_equals_nothing_else(first: Any, second: Any) -> None:
    assert not same(first, second)
