"""Four small models at once against one after the other: what stacking their weights (`vmap`) gains
on this machine.

pytest tests/benchmarks/test_together.py --benchmark-only -o addopts=""
"""

from __future__ import annotations

import copy
from typing import Any

import benchbd.api  # noqa: F401 - first, so that threads wait passively

# isort: split
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from benchbd.plugin.registry import create
from benchbd.victim.model import Model

MODELS, BATCH = 4, 64


def models() -> list[nn.Module]:
    """BatchNorm in eval mode: `vmap` cannot update running statistics in place, so this
    favours it.
    """
    plugin = create(Model, "resnet_small")
    built = [plugin.restore(10, (1, 16, 16), (0.3,), (0.3,), seed).eval() for seed in range(MODELS)]
    return [model.to(memory_format=torch.contiguous_format) for model in built]  # type: ignore[call-overload]


@pytest.mark.parametrize("way", ["one after the other", "together"])
def test_gradients_of_four_models(benchmark: Any, way: str) -> None:
    networks, images, labels = (
        models(),
        torch.rand(MODELS, BATCH, 1, 16, 16),
        torch.randint(0, 10, (MODELS, BATCH)),
    )
    bare = copy.deepcopy(networks[0]).to("meta")
    for module in bare.modules():
        module._forward_pre_hooks.clear()
    weights, buffers = stack_module_state(networks)

    def loss(
        state: dict[str, Tensor], fixed: dict[str, Tensor], batch: Tensor, answer: Tensor
    ) -> Tensor:
        return F.cross_entropy(functional_call(bare, (state, fixed), (batch,)), answer)

    def in_turn() -> None:
        for network, batch, answer in zip(networks, images, labels, strict=True):
            F.cross_entropy(network(batch), answer).backward()

    together = vmap(grad(loss))
    benchmark.extra_info["models"] = MODELS
    benchmark.pedantic(
        (lambda: together(weights, buffers, images, labels)) if way == "together" else in_turn,
        rounds=10,
        warmup_rounds=2,
    )
