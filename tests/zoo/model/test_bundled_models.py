"""What holds for every bundled model: outline of the network, its graph, storing and restoring."""

from __future__ import annotations

import pytest
import torch

from benchbd.engine.classifier import Classifier
from benchbd.engine.graph import trace
from benchbd.plugin.registry import create
from benchbd.victim.model import ImageShape, Model

MODELS = {
    "airbench": ((3, 32, 32), 256),
    "deepid": ((3, 55, 47), 160),
    "preact_resnet18": ((3, 16, 16), 512),
    "resnet9": ((3, 16, 16), 128),
    "resnet_small": ((1, 16, 16), 64),
    "timm:mobilenetv3_small_100": ((1, 32, 32), 1024),
    "timm:resnet18": ((3, 32, 32), 512),
    "timm:vit_tiny_patch16_224": ((3, 32, 32), 192),
    "torchvision:resnet18": ((3, 32, 32), 512),
    "torchvision:vgg11_bn": ((3, 32, 32), 4096),
    "vgg19_bn": ((3, 32, 32), 512),
}
"""Name -> shape of the images and number of features, as the papers have it."""

CLASSES = 5


def restored(name: str, shape: ImageShape, seed: int) -> Classifier:
    model = create("model", name)
    assert isinstance(model, Model)
    return model.restore(CLASSES, shape, (0.5,) * shape[0], (0.25,) * shape[0], seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_outline(name: str) -> None:
    shape, width = MODELS[name]
    model = restored(name, shape, seed=1)
    images = torch.rand(3, *shape, generator=torch.Generator().manual_seed(0))
    features, logits = model.features(images), model(images)
    assert features.shape == (3, width)
    assert logits.shape == (3, CLASSES)
    torch.testing.assert_close(features @ model.head.weight.T + model.head.bias, logits)
    torch.testing.assert_close(model.features(images[1:2]), features[1:2], rtol=1e-3, atol=1e-4)
    assert not torch.allclose(features[0], features[1]), "the features do not depend on the image"

    graph = trace(model)
    assert graph is not None
    torch.testing.assert_close(graph(images), logits)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MODELS if name != "torchvision:vgg11_bn"])
@torch.no_grad()
def test_state_survives_storing(name: str) -> None:
    shape, _ = MODELS[name]
    stored, other = restored(name, shape, seed=1), restored(name, shape, seed=2)
    images = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(stored(images), other(images))
    other.load_state_dict(stored.state_dict())
    assert torch.equal(stored(images), other(images))
