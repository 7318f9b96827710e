"""Functions that somebody has replaced, removed or covered are put back; nothing else is."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from benchbd.engine import inference
from benchbd.engine.functions import FunctionsSnapshot


def other(*given: Any, **named: Any) -> Any:
    return None


PATCHES: dict[str, tuple[Any, str]] = {
    "torch.nn.functional.cross_entropy": (nn.functional, "cross_entropy"),
    "torch.argmax": (torch, "argmax"),
    "torch.nn.modules.loss.CrossEntropyLoss.forward": (nn.CrossEntropyLoss, "forward"),
    "torch.nn.modules.module.Module.__call__": (nn.Module, "__call__"),
    "torch.Tensor.argmax": (torch.Tensor, "argmax"),
    "torch.nn.modules.linear.Linear.__call__": (nn.Linear, "__call__"),
    "torch.optim.sgd.SGD.zero_grad": (torch.optim.SGD, "zero_grad"),
    "torch.nn.CrossEntropyLoss": (nn, "CrossEntropyLoss"),
    "benchbd.engine.inference.predict": (inference, "predict"),
    "benchbd.engine.inference.sum": (inference, "sum"),
}


@pytest.mark.parametrize("name", PATCHES)
def test_what_was_replaced_or_covered_is_put_back(name: str) -> None:
    place, what = PATCHES[name]
    before = getattr(place, what, None)
    functions = FunctionsSnapshot()
    setattr(place, what, other)
    assert name in functions.put_back()
    assert getattr(place, what, None) is before
    assert FunctionsSnapshot().put_back() == functions.put_back() == []


def test_what_was_removed_is_put_back() -> None:
    functions, before = FunctionsSnapshot(), nn.functional.relu
    del nn.functional.relu
    assert functions.put_back() == ["torch.nn.functional.relu"]
    assert nn.functional.relu is before


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam, torch.optim.NAdam])
def test_what_torch_wraps_itself_is_let_pass(make: Callable[..., torch.optim.Optimizer]) -> None:
    """It does so once, when the first optimizer of a class is made."""
    functions, weight = FunctionsSnapshot(), nn.Parameter(torch.ones(1))
    optimizer = make([weight], lr=0.1)
    (weight * 2).sum().backward()
    optimizer.step()
    assert functions.put_back() == []


def test_what_is_new_and_covers_nothing_is_let_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "of_a_library", other, raising=False)
    assert FunctionsSnapshot().put_back() == []
    functions = FunctionsSnapshot()
    monkeypatch.setattr(nn.functional, "of_a_library", other, raising=False)
    monkeypatch.setattr(warnings, "formatwarning", other)
    assert functions.put_back() == []
