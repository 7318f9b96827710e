"""The architectures that plugins are tried on: small, trained in a moment, each of its kind."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchbd.testing.networks import VGG, Residual, Transformer
from benchbd.victim.model import Model


@pytest.mark.parametrize(
    ("kind", "norm", "width"),
    [
        (Residual, nn.BatchNorm2d, 16),
        (VGG, nn.BatchNorm2d, 24),
        (Transformer, nn.LayerNorm, 24),
    ],
)
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 32, 32)])
def test_features_of_its_kind_go_into_a_linear_head(
    kind: type[Model], norm: type[nn.Module], width: int, shape: tuple[int, int, int]
) -> None:
    model = kind().restore(4, shape, (0.5,) * shape[0], (0.2,) * shape[0])
    images = torch.rand(2, *shape)
    with torch.no_grad():
        assert model.features(images).shape == (2, width)
        assert model(images).shape == (2, 4)
    kinds = (nn.BatchNorm2d, nn.LayerNorm)
    norms = [module for module in model.modules() if isinstance(module, kinds)]
    assert norms and all(isinstance(module, norm) for module in norms)
    assert sum(parameter.numel() for parameter in model.parameters()) < 20_000
