"""The sweep over convolutions: all agree with float64 here, and one that did not would be found."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchbd.engine.convolutions import ConvShape, conv_shapes, find_disagreements
from benchbd.engine.recipe import Precision


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_convolutions_of_every_shape_agree_with_float64(precision: Precision) -> None:
    """Also where memory that nobody wrote is no number: with AMX, torch 2.13 by itself fails in
    bf16 where a single strided window hangs over all the pixels that there are.
    """
    shapes = list(conv_shapes())
    assert any(shape.length == 1 and shape.stride > shape.side for shape in shapes)
    assert [str(shape) for shape in find_disagreements(shapes, precision)] == []


def test_a_wrong_gradient_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one shape alone, as kernels are wrong: NaN, or numbers that are merely others."""
    wanted = ConvShape(3, 2, 1, 1, 16, 32, 8, channels_last=True)
    other = dataclasses.replace(wanted, side=2)
    for wrong in (torch.nan, 0.1):

        def spoilt(maps: Tensor, *rest: Any, by: float = wrong) -> Tensor:
            found = torch.conv2d(maps, *rest)
            if maps.shape[-1] == 1 and maps.dtype == torch.float32 and found.requires_grad:
                found.register_hook(lambda gradient: gradient + by)
            return found

        monkeypatch.setattr(F, "conv2d", spoilt)
        assert find_disagreements([wanted, other], "fp32") == [wanted]
