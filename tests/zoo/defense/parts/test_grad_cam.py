"""Grad-CAM against its formula by hand, on maps and on tokens; which module of known networks it
watches.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import ImageSet, NotApplicable
from benchbd.engine.classifier import Classifier
from benchbd.engine.hardware import default_precision
from benchbd.plugin.registry import create
from benchbd.testing.networks import VGG, Transformer
from benchbd.testing.networks import Residual as Strided
from benchbd_zoo.defense.parts.grad_cam import GradCAM
from support.tiny_networks import (
    CLASSES,
    InPlace,
    Plain,
    Residual,
    Summed,
    Tokens,
    classifier,
    random_images,
)


@pytest.fixture(autouse=True)
def exact() -> Any:
    with default_precision("fp32"):
        yield


def pictures(count: int = 3, side: int = 32, channels: int = 3) -> ImageSet:
    rng = torch.Generator().manual_seed(4)
    return ImageSet(
        torch.randint(0, 256, (count, channels, side, side), generator=rng, dtype=torch.uint8),
        torch.arange(count) % 2,
        ("a", "b"),
    )


class Pooled(nn.Module):
    """Six maps of 2x2, then their means, which are the features: a last map of one place."""

    def __init__(self) -> None:
        super().__init__()
        self.maps, self.end = nn.Conv2d(3, 6, 3, stride=3, bias=False), nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.maps(x)).flatten(1)  # type: ignore[no-any-return]


def test_the_heat_is_the_formula() -> None:
    """Means over places are linear, so alpha is the head's weight over the number of places."""
    model, images = classifier(Pooled()), random_images(5).images
    x = images / 255
    maps = model.network.body.maps((x - model.mean) / model.std).detach().double().numpy()
    given = model(x).argmax(1).numpy()
    weights = model.head.weight.detach().double().numpy()[given] / 4
    low = np.maximum(0, np.einsum("bk,bkhw->bhw", weights, maps))
    heat, classes = GradCAM(model, images[:1]).heat(x)
    assert classes.tolist() == given.tolist() and heat.shape == (5, 6, 6)
    corners = heat[:, [0, 0, 5, 5], [0, 5, 0, 5]]
    np.testing.assert_allclose(corners.numpy(), low.reshape(5, 4), rtol=1e-4, atol=1e-6)
    assert (low > 0).any() and (low == 0).any()
    enlarged = F.interpolate(torch.from_numpy(low)[:, None], (6, 6), mode="bilinear")[:, 0]
    torch.testing.assert_close(heat.double(), enlarged, rtol=1e-4, atol=1e-6)


def test_as_the_reference_weighs_maps() -> None:
    """`GradCAM` of vtu81/backdoor-toolbox at 9d4d909 (utils/gradcam.py), which stretches the heat
    from 0 to 1: the middle of an image and its corners.
    """
    heat = GradCAM(classifier(Pooled()), random_images(5).images).heat(
        random_images(5).images / 255
    )[0][1]
    found = (heat - heat.min()) / (heat.max() - heat.min())
    row = [0.0, 0.0, 0.189858, 0.379715, 0.569572, 0.569572]
    np.testing.assert_allclose(found[2].numpy(), row, atol=1e-5)
    corners = [0.0, 0.354359, 0.0, 1.0]
    np.testing.assert_allclose(found[[0, 0, 5, 5], [0, 5, 0, 5]].numpy(), corners, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "side", "watched"),
    [
        ("resnet_small", 16, "stages.2"),
        ("preact_resnet18", 32, "layer4.1"),
        ("vgg19_bn", 32, "layers.51"),
        ("timm:mobilenetv2_050", 64, "body.bn2"),
        ("timm:test_vit", 32, "body.blocks.5.norm1"),
    ],
)
def test_what_is_watched_in_known_networks(name: str, side: int, watched: str) -> None:
    images = pictures(side=side)
    model = create("model", name).classifier(images, seed=0)
    cam = GradCAM(model, images.images[:1])
    heat, _ = cam.heat(images.images / 255)
    assert cam.layer == f"network.{watched}"
    assert heat.shape == (3, side, side) and float(heat.min()) >= 0 and bool(heat.isfinite().all())


def test_tokens_are_those_before_the_last_attention_where_a_class_token_is_read() -> None:
    """By hand: gradients at the inputs of the last attention, the class token left out, on the 8x8
    grid of patches.
    """
    images = pictures().images
    model: Any = Transformer().classifier(pictures(), seed=0).eval()
    site = model.network.body.blocks[-1].norm1
    kept: list[Tensor] = []
    hook = site.register_forward_hook(lambda module, inputs, output: kept.append(output))
    x = images / 255
    scores = model(x).max(1).values
    hook.remove()
    (gradient,) = torch.autograd.grad(scores.sum(), kept)
    tokens, slope = kept[0].detach()[:, 1:].double(), gradient[:, 1:].double()
    low = (tokens * slope.mean(1, keepdim=True)).sum(2).clamp(min=0).view(-1, 1, 8, 8)
    expected = F.interpolate(low, (32, 32), mode="bilinear")[:, 0]
    cam = GradCAM(model, images[:2])
    torch.testing.assert_close(cam.heat(x)[0].double(), expected, rtol=1e-3, atol=1e-9)
    assert model.get_submodule(cam.layer) is site and float(expected.max()) > 0


class Overwriting(nn.Module):
    """Overwrites the map that is watched."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).relu_().mean((2, 3))  # type: ignore[no-any-return]


@pytest.mark.parametrize("body", [Residual, Plain, InPlace, Summed, Overwriting, Tokens])
def test_networks_of_every_kind_have_heat_and_stay_as_they_were(body: type[nn.Module]) -> None:
    model, images = classifier(body(), seed=2), random_images(20).images
    before, grads = copy.deepcopy(model.state_dict()), [p.requires_grad for p in model.parameters()]
    heat, classes = GradCAM(model, images[:2]).heat(images / 255)
    assert torch.equal(classes, model(images / 255).argmax(1)) and len(classes.unique()) > 1
    assert float(heat.amax()) > 0 and bool(heat.isfinite().all())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [p.requires_grad for p in model.parameters()] == grads and all(
        p.grad is None for p in model.parameters()
    )
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("architecture", [Strided, VGG, Transformer])
def test_heat_depends_on_its_image_alone(architecture: Any) -> None:
    model = architecture().classifier(pictures(), seed=0)
    x = pictures(7).images / 255
    cam = GradCAM(model, pictures().images[:2])
    torch.testing.assert_close(
        torch.cat([cam.heat(part)[0] for part in x.split(3)]), cam.heat(x)[0], rtol=1e-3, atol=1e-7
    )


class Flat(nn.Module):
    """No map at all."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(108, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1))  # type: ignore[no-any-return]


def test_without_a_map_it_does_not_apply() -> None:
    model: Classifier = classifier(Flat())
    assert model.head.out_features == CLASSES
    with pytest.raises(NotApplicable, match="no map of more than one place"):
        GradCAM(model, random_images(2).images)
