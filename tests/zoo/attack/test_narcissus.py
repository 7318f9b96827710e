"""Narcissus: the noise and its bound, where it is put and how strongly, and what stays as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchbd.api import Batches
from benchbd.data.images import ImageSet
from benchbd_zoo.attack.narcissus import Narcissus


class Linear(nn.Module):
    """Two logits of grey images of 4 pixels; each is the weighted sum of the pixels."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight.T


def grey(level: int, count: int = 6) -> Batches:
    return Batches(
        torch.full((count, 1, 2, 2), level, dtype=torch.uint8),
        torch.zeros(count, dtype=torch.int64),
    )


def noise_of(attack: Narcissus, model: nn.Module, own: Batches) -> Tensor:
    return attack._noise(model, own, seed=0)


def test_every_pixel_goes_to_the_bound_on_its_side() -> None:
    """The target's logit grows with the first two pixels and falls with the others."""
    model = Linear(torch.tensor([[2.0, 1, -1, -2], [0, 0, 0, 0]]))
    attack = Narcissus(warmup_epochs=0, rounds=500, lr=0.1, eps=16)
    noise = noise_of(attack, model, grey(128))
    np.testing.assert_allclose(255 * noise[0], [[16, 16], [-16, -16]], rtol=1e-5)


def test_it_ends_where_there_is_no_slope_left() -> None:
    """White pixels cannot grow, so only the clipped sum without a slope is left."""
    model = Linear(torch.tensor([[1.0, 1, 1, 1], [0, 0, 0, 0]]))
    passes: list[int] = []
    model.register_forward_hook(lambda *_: passes.append(1))
    noise = noise_of(Narcissus(warmup_epochs=0, rounds=500), model, grey(255))
    assert len(passes) < 500
    assert (noise >= 0).all()


def test_the_warm_up_learns_the_target_and_leaves_the_surrogate_as_it_was() -> None:
    model = Linear(torch.zeros(2, 4))
    attack = Narcissus(target=1, warmup_epochs=5)
    warm = attack._warmed_up(Linear(torch.zeros(2, 4)), lambda: iter([torch.ones(6, 1, 2, 2)]))
    assert warm.training
    assert not any(weight.requires_grad for weight in warm.parameters())
    assert warm(torch.ones(1, 1, 2, 2)).argmax().item() == 1
    noise_of(attack, model, grey(100))
    assert not model.weight.any()
    assert model.weight.requires_grad


@pytest.mark.parametrize("magnification", [1.0, 3.0])
def test_training_images_get_the_noise_and_test_images_a_multiple(
    images: ImageSet, rng: torch.Generator, magnification: float
) -> None:
    noise = (torch.rand(images.image_shape, generator=rng) - 0.5) / 8
    attack = Narcissus(magnification=magnification).with_trigger({"noise": noise})
    levels = 255 * noise.double().numpy()
    for stamp, factor in ((attack.stamp_poison, 1.0), (attack.stamp, magnification)):
        stamped = attack.apply(stamp, images.images, images.labels, rng).numpy()
        expected = (images.images.numpy() + factor * levels).clip(0, 255)
        assert abs(stamped - expected).max() <= 0.5 + 1e-4


def test_a_share_of_the_target_class_carries_it_and_keeps_its_label(
    images: ImageSet, rng: torch.Generator
) -> None:
    noise = {"noise": torch.full(images.image_shape, 0.05)}
    attack = Narcissus(target=1, poison_ratio=0.2).with_trigger(noise)
    poisoned = attack.poison(images, rng)
    assert len(poisoned.indices) == 4  # of the 20 images of the class
    assert set(poisoned.labels.tolist()) == {1}
    assert torch.equal(poisoned.as_seen().labels, images.labels)


class Waves(nn.Module):
    """Four logits of images of 3x7x9 by waves, through a BatchNorm, so that the mode matters."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Parameter(torch.sin(torch.arange(4 * 189.0) / 7).reshape(4, 189) / 5)
        self.norm = nn.BatchNorm1d(4)
        self.outer = nn.Parameter(torch.cos(torch.arange(16.0) * 1.3).reshape(4, 4))

    def forward(self, images: Tensor) -> Tensor:
        maps = self.norm((images.flatten(1) @ self.inner.T).sin())
        return maps.tanh() @ self.outer.T


def test_as_the_reference_makes_noise(counted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`narcissus_gen` of reds-lab/Narcissus at de128d8 (narcissus_function.py) with its five epochs
    of warm-up and 40 rounds, on five images, from the same surrogate: row 5 of green, and the
    length.
    """
    monkeypatch.setenv("BENCHBD_PRECISION", "fp32")
    own = Batches(counted(10, 3, 7, 9)[::2], torch.full((5,), 2))
    noise = noise_of(Narcissus(target=2, rounds=40), Waves(), own)
    reference = [-0.0148374, -0.015482, -0.0152351, -0.0134766, -0.0136175, -0.012075]
    np.testing.assert_allclose(noise[1, 5, :6], reference, atol=1e-5)
    assert noise.norm().item() == pytest.approx(0.2084885, rel=1e-3)
