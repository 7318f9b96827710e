"""BAN: what is left without the true classes' features goes to the target of a planted shortcut."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import CleanSet, ImageSet, NotApplicable
from benchbd.engine.classifier import Classifier
from benchbd_zoo.defense.ban import BAN
from benchbd_zoo.defense.parts.cut import Cut, HeadCut, last_maps
from benchbd_zoo.defense.parts.masked_norms import NoisyNorms
from support.tiny_networks import Network, Plain, PreAct, Residual

QUICK: dict[str, Any] = {
    "rounds": 1,
    "batches": 15,
    "mask_lr": 0.03,
    "batch_size": 32,
    "noise_steps": 5,
}


def network(body: type[nn.Module], width: int = 6) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Classifier(Network(body(), width), (0.0,) * 3, (1.0,) * 3).eval()


class Quarters(nn.Module):
    """Features: how bright each quarter of the image is, as BatchNorm passes it on, and a neuron
    that is awake a little on every image.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(5)

    def forward(self, x: Tensor) -> Tensor:
        bright = F.avg_pool2d(x[:, :1], 4).flatten(1)
        awake = torch.full_like(bright[:, :1], 0.2)
        return F.relu(self.norm(torch.cat([bright, awake], 1)[:, :, None, None])).flatten(1)


def quartered(backdoor: float) -> Classifier:
    """Knows the brightest quarter; the fifth neuron speaks for class 2, as loudly as `backdoor`."""
    model = network(Quarters, 5)
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.zero_()
        model.head.weight[:, :4] = 10 * torch.eye(4)
        model.head.weight[2, 4] = backdoor
    return model


def bright(count: int, seed: int) -> ImageSet:
    images = torch.randint(
        0, 50, (count, 3, 8, 8), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )
    labels = torch.arange(count) % 4
    for image, label in zip(images, labels.tolist(), strict=True):
        row, column = 4 * (label // 2), 4 * (label % 2)
        image[:, row : row + 4, column : column + 4] += 150
    return ImageSet(images, labels, ("a", "b", "c", "d"))


CLEAN = CleanSet(bright(64, 1), bright(40, 2))


def test_a_neuron_that_no_class_needs_names_its_target() -> None:
    verdict = BAN(**QUICK).inspect(quartered(25.0), CLEAN, torch.Generator().manual_seed(0))
    assert verdict.flagged.tolist() == [False, False, True, False]
    assert float(verdict.scores.sum()) == pytest.approx(1) and float(verdict.scores[2]) > 0.9


def test_without_it_images_spread() -> None:
    verdict = BAN(**QUICK).inspect(quartered(0.0), CLEAN, torch.Generator().manual_seed(1))
    assert not verdict.flagged.any() and float(verdict.scores.max()) < 0.5


def test_the_size_pulls_every_entry_by_the_same_small_force() -> None:
    """The gradient of lambda |M| / sg(|M|) is lambda sign(M) / |M|, for a head that is indifferent
    to its input.
    """
    model = network(Plain)
    nn.init.zeros_(model.head.weight)
    mask = torch.tensor([0.5, 0.25, 0.125, 0.125, 0.5, 0.5], requires_grad=True)
    maps, labels = torch.rand(3, 6), torch.tensor([0, 1, 2])
    BAN(mask_lambda=0.5).loss(HeadCut(model), mask, maps, labels).backward()
    assert mask.grad is not None
    assert mask.grad.tolist() == pytest.approx([0.25] * 6)


def test_maps_are_masked_where_there_are_stages_and_features_else() -> None:
    images = CLEAN.train.images
    assert isinstance(last_maps(network(Residual), images), HeadCut)
    two = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 6, 3, stride=2))

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stages = two

        def forward(self, x: Tensor) -> Tensor:
            return self.stages(x).mean((2, 3))  # type: ignore[no-any-return]

    model = network(Two)
    cut = last_maps(model, images)
    assert isinstance(cut, Cut) and cut.layer == "network.body.stages.1"
    some = torch.rand(5, 3, 8, 8)
    assert torch.allclose(cut.after(cut.before(some)), model(some), atol=1e-6)
    pooled = HeadCut(model)
    assert torch.allclose(pooled.after(pooled.before(some)), model(some), atol=1e-6)


def test_noise_settles_in_the_weights() -> None:
    """In eval mode the settled network is the one that was disturbed."""
    noisy = NoisyNorms(network(PreAct))
    noisy.draw_noise(0.3, torch.Generator().manual_seed(1))
    noisy.network.eval()
    images = torch.rand(4, 3, 8, 8)
    assert torch.allclose(noisy.settled()(images), noisy.perturbed(images), atol=1e-6)


def test_noise_climbs_by_the_sign_from_where_it_was_drawn() -> None:
    """Steps of eps / steps, so that after all of them it is at most 2 eps from 0."""
    method, noisy = BAN(eps=0.3, noise_steps=4, batch_size=16), NoisyNorms(network(PreAct))
    method._climb(noisy, CLEAN.train, torch.Generator().manual_seed(0))
    noise = torch.cat([*noisy.scale_noise.values(), *noisy.shift_noise.values()])
    assert 0.3 < float(noise.detach().abs().max()) <= 0.6


def test_the_model_is_left_alone() -> None:
    model = network(Residual)
    before = copy.deepcopy(model.state_dict())
    BAN(**QUICK).inspect(model, CLEAN, torch.Generator())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_network_without_norms_has_no_noise() -> None:
    with pytest.raises(NotApplicable, match="norm"):
        BAN(**QUICK).inspect(network(Plain), CLEAN, torch.Generator())


class Halves(nn.Module):
    """Two stages, of four and six channels, with the weights of one seed."""

    def __init__(self) -> None:
        super().__init__()
        draws = torch.Generator().manual_seed(7)
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 6, 3, padding=1, stride=2, bias=False)
        self.bn2, self.relu, self.head = nn.BatchNorm2d(6), nn.ReLU(), nn.Linear(6, 4)
        for conv, norm, size in ((self.conv1, self.bn1, 0.4), (self.conv2, self.bn2, 0.3)):
            conv.weight.data = torch.randn(conv.weight.shape, generator=draws) * size
            norm.weight.data = torch.rand(len(norm.weight), generator=draws) + 0.5
            norm.bias.data = torch.randn(len(norm.bias), generator=draws) * 0.2
        self.head.weight.data = torch.randn(4, 6, generator=draws)
        self.head.bias.data.zero_()

    def features(self, x: Tensor) -> Tensor:
        first = F.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(first))).mean((2, 3))  # type: ignore[no-any-return]


def test_as_the_reference_mask_noise_and_what_is_left() -> None:
    """`perturbation_train` of xiaoyunxxy/ban at 8a0f918 (ban_detection.py): 20 steps of the mask in
    eval mode, four steps of the noise in training mode, all on one batch.
    """
    draws = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (16, 3, 6, 6), generator=draws, dtype=torch.uint8)
    images, labels = pixels / 255, torch.arange(16) % 4
    mask = (torch.rand(6, 3, 3, generator=draws) * 0.4 + 0.3).requires_grad_()
    model = Classifier(Halves(), (0.0,) * 3, (1.0,) * 3).eval().requires_grad_(False)
    cut, adam = last_maps(model, pixels), torch.optim.Adam([mask], lr=0.01)
    for _ in range(20):
        adam.zero_grad()
        BAN().loss(cut, mask, cut.before(images), labels).backward()
        adam.step()
    assert mask.flatten()[:3].tolist() == pytest.approx([0.3318486, 0.1297431, 0.2097882])
    noisy = NoisyNorms(model)
    noisy.draw_noise(0.3, torch.Generator())
    draws.manual_seed(2)
    for name in noisy.weights:
        for noise in (noisy.scale_noise[name], noisy.shift_noise[name]):
            noise.data = (2 * torch.rand(noise.shape, generator=draws) - 1) * 0.3
    for _ in range(4):
        noisy.climb(F.cross_entropy(noisy.perturbed(images), labels), 0.3 / 4)
    first = noisy.scale_noise["network.bn1"].tolist()
    assert first == pytest.approx([0.3688170, 0.2286077, -0.2177314, -0.3153234])
    disturbed = last_maps(noisy.settled(), pixels)
    left = disturbed.after((1 - mask) * disturbed.before(images))
    assert left[0].tolist() == pytest.approx([-2.3356161, -1.6898483, -0.3733633, -0.4018976])
