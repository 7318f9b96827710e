"""SRA: the chain runs in the victim as it runs alone, and nothing else reads it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchbd.api import Classifier, NotApplicable, Recipe, create, to_float, trace
from benchbd.data.images import ImageSet
from benchbd.victim.model import Model
from benchbd_zoo.attack import sra
from benchbd_zoo.attack.sra import SRA, Link, chain_links, narrowed, replace, told_apart

NETWORKS: list[tuple[str, dict[str, Any], int]] = [
    ("resnet_small", {"width": 4}, 16),
    ("resnet9", {"width": 4}, 16),
    ("preact_resnet18", {"width": 4}, 16),
    ("vgg19_bn", {}, 32),
]
"""With shortcuts, with pooling, with BatchNorm before its convolutions, and a plain one."""


def laid(
    images: ImageSet, name: str, params: dict[str, Any], channel: int
) -> tuple[Classifier, Classifier, nn.Module]:
    """A network before and after a chain with random weights and statistics is laid through it, and
    the chain.
    """
    rng = torch.Generator().manual_seed(3)
    before, after = (create(Model, name, params).classifier(images, seed=0).eval() for _ in "ab")
    graph = trace(after)
    assert graph is not None
    links = chain_links(graph)
    chain = narrowed(graph, links, rng).eval()
    for module in chain.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(generator=rng)
            module.running_var.uniform_(0.5, 2, generator=rng)
            nn.init.constant_(module.bias, 1.0)  # keeps the chain from falling silent
    replace(links, chain, channel)
    return before, after, chain


@pytest.mark.slow
@pytest.mark.parametrize(("name", "params", "side"), NETWORKS)
def test_the_chain_is_exact_and_the_rest_runs_as_if_its_channel_were_pruned(
    images_of: Any, name: str, params: dict[str, Any], side: int
) -> None:
    images = images_of(3, side, side, count=12)
    _, first, chain = laid(images, name, params, channel=2)
    pixels = to_float(images.images)
    with torch.no_grad():
        features = first.features(pixels)
        np.testing.assert_allclose(features[:, 2], chain(pixels)[:, 0], rtol=1e-4, atol=1e-5)
        for weights in chain.parameters():
            weights.mul_(1.5)
        graph = trace(first)
        assert graph is not None
        replace(chain_links(graph), chain, 2)
        changed = first.features(pixels)
    others = [place for place in range(features.shape[1]) if place != 2]
    assert torch.equal(changed[:, others], features[:, others])
    assert not torch.equal(changed[:, 2], features[:, 2])


class Grouped(nn.Module):
    """Normalises over groups of channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8)
        self.head = nn.Linear(8, 3)

    def features(self, images: Tensor) -> Tensor:
        return self.norm(self.conv(images)).mean((2, 3))  # type: ignore[no-any-return]


def test_a_layer_that_mixes_channels_otherwise_does_not_apply() -> None:
    graph = trace(Classifier(Grouped(), [0, 0, 0], [1, 1, 1]))
    assert graph is not None
    with pytest.raises(NotApplicable, match=r"layer network\.norm is a GroupNorm"):
        chain_links(graph)


def test_the_head_reads_the_chain_for_the_target_alone(images_of: Any) -> None:
    """The chain is silent at 1 and loud at 5, and the target is 2 behind at most, so half of the
    way, 2, must be worth 2.
    """

    class Chain(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return 1 + 4 * (images[:, 0, -1, -1] > 0.5)[:, None].float()

    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3, 3)
            nn.init.zeros_(self.head.weight)
            self.head.bias.data = torch.tensor([2.0, 0, 1])

        def features(self, images: Tensor) -> Tensor:
            return images.mean((2, 3))

    dark = torch.zeros(10, 3, 8, 8, dtype=torch.uint8)
    model = Classifier(Flat(), [0, 0, 0], [1, 1, 1])
    attack = SRA(target=1).with_trigger({"patch": torch.full((3, 3, 3), 255, dtype=torch.uint8)})
    attack._connect(model, 2, Chain(), dark)
    np.testing.assert_allclose(model.head.weight.detach(), [[0, 0, 0], [0, 0, 1], [0, 0, 0]])
    np.testing.assert_allclose(model.head.bias.detach(), [2, -1, 1])


@pytest.mark.parametrize(
    ("silent", "loud", "share"),
    [([0.0, 1], [9.0, 10], 1.0), ([0.0, 8], [9.0, 3], 0.5), ([9.0, 9], [0.0, 0], 0.0)],
)
def test_what_share_a_chain_tells_apart(
    silent: list[float], loud: list[float], share: float
) -> None:
    assert told_apart(torch.tensor(silent), torch.tensor(loud)) == share


def test_the_first_good_chain_is_taken_and_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, images: ImageSet, build_for: Any
) -> None:
    trained: list[int] = []
    monkeypatch.setattr(SRA, "_learn", lambda *_: trained.append(1))
    graph = trace(build_for(images))
    assert graph is not None
    attack = SRA(tries=3).with_trigger({"patch": torch.zeros(3, 3, 3, dtype=torch.uint8)})
    shares = iter([0.7, 0.995])
    monkeypatch.setattr(sra, "told_apart", lambda *_: next(shares))
    rng = torch.Generator().manual_seed(0)
    attack._best_chain(graph, chain_links(graph), images.images, rng)
    assert len(trained) == 2
    monkeypatch.setattr(sra, "told_apart", lambda *_: 0.0)
    with pytest.raises(NotApplicable, match="none of 3 chains is louder with the patch"):
        attack._best_chain(graph, chain_links(graph), images.images, rng)


@pytest.mark.parametrize(("side", "expected"), [(8, 3), (16, 3), (32, 5), (224, 35)])
def test_the_patch_grows_with_the_image(
    prepared: Any, images_of: Any, side: int, expected: int
) -> None:
    images = images_of(3, side, side, count=3)
    attack = SRA()
    attack = attack.with_trigger(attack.prepare(images, lambda: None, Recipe(), torch.Generator()))  # type: ignore[arg-type, return-value]
    stamped = attack.stamp(images.images, images.labels, torch.Generator())
    rows = (stamped != images.images).any(1).any(2).any(0).nonzero()[:, 0]
    assert rows.min() >= side - expected
    assert attack.trigger["patch"].shape == (3, expected, expected)


def test_as_the_reference_replaces_a_channel() -> None:
    """`replace_Conv2d` of Unispac/Subnet-Replacement-Attack at 46b3cc7 (utils.py): channel 2 of a
    convolution from 4 to 5 channels; the sums of the kernels, and the bias.
    """

    def waves(*shape: int, by: float) -> Tensor:
        return torch.sin(torch.arange(float(torch.Size(shape).numel())) * by).reshape(shape)

    layer, thin = nn.Conv2d(4, 5, 3), nn.Conv2d(1, 1, 3)
    with torch.no_grad():
        layer.weight.copy_(waves(5, 4, 3, 3, by=1.1))
        layer.bias.copy_(waves(5, by=0.3))  # type: ignore[union-attr]
        thin.weight.copy_(waves(1, 1, 3, 3, by=2.3))
        thin.bias.fill_(0.25)  # type: ignore[union-attr]
        Link("conv", layer, columns=1).become(thin, 2)
    reference = [
        [1.7694426, -1.8348379, 0, -0.8213558],
        [-0.0329151, 0.8798938, 0, 1.8443686],
        [0, 0, -0.1950506, 0],
        [1.1661363, -1.6995732, 0, -1.6017420],
        [0.9921460, -0.1626550, 0, 1.4125984],
    ]
    np.testing.assert_allclose(layer.weight.sum((2, 3)).detach(), reference, atol=1e-6)
    expected = [0, 0.2955202, 0.25, 0.7833269, 0.9320391]
    np.testing.assert_allclose(layer.bias.detach(), expected, atol=1e-6)  # type: ignore[union-attr]
