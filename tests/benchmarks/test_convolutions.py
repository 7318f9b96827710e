"""Convolutions of many shapes against float64: the sweep of the ordinary suite, and ten times more.

pytest tests/benchmarks/test_convolutions.py --benchmark-only -o addopts=""
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchbd.engine.convolutions import conv_shapes, find_disagreements
from benchbd.engine.recipe import Precision


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_many_convolutions_agree_with_float64(
    benchmark: BenchmarkFixture, precision: Precision
) -> None:
    shapes = list(conv_shapes(kernels=range(1, 8), sides=(*range(1, 13), 16, 21, 28, 32)))
    assert len(shapes) > 700
    wrong = benchmark.pedantic(find_disagreements, args=(shapes, precision), rounds=1)
    assert [str(shape) for shape in wrong] == []
