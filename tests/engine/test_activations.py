"""Mean activations against values computed by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from benchbd.engine.activations import channel_means, last_executed, watching_outputs
from benchbd.engine.classifier import Classifier
from benchbd.errors import ConfigError
from support.tiny_networks import (
    Branching,
    Network,
    Plain,
    Residual,
    Tokens,
    classifier,
    random_images,
)


class TwoChannels(nn.Module):
    """Channel 0 is the first pixel value times 2; channel 1 is 0.5 minus it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.unused = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 1, 1)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([2.0, -1.0])[:, None, None, None])
            self.conv.bias.copy_(torch.tensor([0.0, 0.5]))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).mean((2, 3))


def two_channels() -> Classifier:
    return Classifier(Network(TwoChannels(), width=2), (0.0,), (1.0,)).eval()


def black_and_white(white: int, black: int) -> Tensor:
    """Images of one row of two pixels; in the white ones the first pixel is white."""
    images = torch.zeros(white + black, 1, 1, 2, dtype=torch.uint8)
    images[:white, 0, 0, 0] = 255
    return images


def test_means_over_images_and_places() -> None:
    # one image in three is white, half of its places: a sixth of all places hold 1, the others 0
    means = channel_means(
        two_channels(), "network.body.conv", black_and_white(200, 400), rectified=False
    )
    assert means.dtype == torch.float64
    assert means.tolist() == pytest.approx([2 / 6, (-0.5 + 5 * 0.5) / 6])


def test_rectified_means_count_negatives_as_zero() -> None:
    means = channel_means(
        two_channels(), "network.body.conv", black_and_white(200, 400), rectified=True
    )
    assert means.tolist() == pytest.approx([2 / 6, 5 * 0.5 / 6])


@pytest.mark.parametrize("layer", ["norm", "mix", "group", "conv"])
def test_channels_are_found_wherever_the_layer_keeps_them(layer: str) -> None:
    model, images = classifier(Tokens()), random_images(4)
    with torch.no_grad():
        maps = model.network.body.group(
            model.network.body.conv((images.images / 255 - model.mean) / model.std)
        )
        tokens = maps.flatten(2).transpose(1, 2)
        normed = model.network.body.norm(tokens)
        values = {
            "conv": model.network.body.conv((images.images / 255 - model.mean) / model.std).mean(
                (0, 2, 3)
            ),
            "group": maps.mean((0, 2, 3)),
            "norm": normed.mean((0, 1)),
            "mix": model.network.body.mix(nn.functional.gelu(normed)).mean((0, 1)),
        }
    means = channel_means(model, f"network.body.{layer}", images.images, rectified=False)
    assert means.shape == (6,)
    assert means.float() == pytest.approx(values[layer], rel=0.03, abs=0.03)


class LayerNorm2d(nn.LayerNorm):
    """As torchvision and timm have it."""

    def forward(self, maps: Tensor) -> Tensor:
        return super().forward(maps.movedim(1, -1)).movedim(-1, 1)


def test_a_norm_of_maps_as_wide_as_it_has_channels() -> None:
    norm = LayerNorm2d(4, elementwise_affine=True)
    with torch.no_grad():
        norm.bias.copy_(torch.tensor([10.0, 20.0, 30.0, 40.0]))
    body = nn.Sequential(nn.Conv2d(3, 4, 1), norm, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = Classifier(Network(body, width=4), (0.0,) * 3, (1.0,) * 3).eval()
    images = torch.randint(0, 256, (6, 3, 4, 4), dtype=torch.uint8)
    means = channel_means(model, "network.body.1", images, rectified=False)
    assert means.tolist() == pytest.approx(
        [10, 20, 30, 40], abs=2
    )  # what is normalised over four channels stays below 2


def test_a_layer_that_never_runs_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'network.body.unused' is not used"):
        channel_means(two_channels(), "network.body.unused", black_and_white(1, 1), rectified=False)


def test_the_mode_of_the_model_stays() -> None:
    model = classifier(Residual()).train()
    before = model.network.body.bn1.running_mean.clone()
    channel_means(model, "network.body.bn1", random_images(3).images, rectified=False)
    assert model.training and torch.equal(model.network.body.bn1.running_mean, before)


@pytest.mark.parametrize("body", [Residual, Branching])
def test_last_executed(body: type[nn.Module]) -> None:
    model = classifier(body())
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    last = "network.body.shortcut" if body is Residual else "network.body.conv2"
    assert last_executed(model, reversed(names), random_images(1).images) == last
    assert last_executed(model, [], random_images(1).images) is None


def test_hooks_are_gone_even_after_an_error() -> None:
    model = classifier(Plain())

    def refuse(layer: str, output: Tensor) -> None:
        raise RuntimeError(layer)

    with (
        pytest.raises(RuntimeError, match="conv2"),
        watching_outputs(model, ["network.body.conv2"], refuse),
    ):
        model(torch.rand(1, 3, 6, 6))
    channel_means(model, "network.body.conv1", random_images(2).images, rectified=True)
    assert not any(module._forward_hooks for module in model.modules())
