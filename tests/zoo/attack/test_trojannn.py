"""Trojaning attack: which neurons, the shape of the patch, and that the patch excites them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchbd.data.images import ImageSet
from benchbd.engine.recipe import Recipe
from benchbd.errors import NotApplicable
from benchbd_zoo.attack import trojannn
from benchbd_zoo.attack.trojannn import TrojanNN, _slope, disc, loudest


class Linear(nn.Module):
    """Features are weighted sums of pixels, so that the best patch is known; the head makes
    features 2 and 0 the loudest.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        weights = torch.randn(4, *shape, generator=torch.Generator().manual_seed(3))
        self.pixels = nn.Parameter(weights)
        self.head = nn.Linear(4, 3)
        with torch.no_grad():
            self.head.weight.copy_(
                torch.tensor([[1.0, 0.1, -3.0, 0.2], [-2.0, 0.3, 1.0, 0.2], [0.5, -0.2, 1.0, 0.9]])
            )

    def features(self, images: Tensor) -> Tensor:
        return torch.einsum("nchw,kchw->nk", images, self.pixels)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))  # type: ignore[no-any-return]


def prepared_on(attack: TrojanNN, train: ImageSet, seed: int = 0) -> TrojanNN:
    """With the surrogate above, as it is: no epoch of training moves it."""
    recipe, rng = Recipe(epochs=0, precision="fp32"), torch.Generator().manual_seed(seed)
    return attack.with_trigger(
        attack.prepare(train, lambda: Linear(train.image_shape), recipe, rng)
    )


def test_the_neurons_are_those_with_the_largest_outgoing_weights() -> None:
    weight = Linear((1, 2, 2)).head.weight
    assert loudest(weight, 2).tolist() == [2, 0]  # sums of sizes 3.5, 0.6, 5, 1.3
    assert loudest(weight, 100).tolist() == [2, 0, 3, 1]


@pytest.mark.parametrize(
    ("height", "width", "share"),
    [(8, 8, 0.04), (16, 16, 0.04), (32, 32, 0.04), (14, 20, 0.1), (224, 224, 0.04)],
)
def test_the_disc_has_its_share_of_pixels_and_lies_round_its_middle(
    height: int, width: int, share: float
) -> None:
    mask = disc(height, width, share).numpy()
    count = round(share * height * width)
    assert mask.shape == (height, width)
    assert mask.sum() == count
    y, x = np.nonzero(mask)
    distance = np.hypot(y + 0.5 - 0.75 * height, x + 0.5 - 0.75 * width)
    assert distance.max() <= (count / np.pi) ** 0.5 + 1
    assert not mask[: height // 4].any()
    assert not mask[:, : width // 4].any()


def test_a_disc_has_at_least_one_pixel() -> None:
    assert np.argwhere(disc(8, 8, 0.001).numpy()).tolist() == [[5, 5]]


def test_without_a_reachable_target_every_pixel_goes_to_the_end_of_its_range() -> None:
    """One feature, driven to infinity in effect: pixels with a positive weight turn white, the
    others black.
    """
    images = ImageSet(
        torch.zeros(6, 3, 8, 8, dtype=torch.uint8), torch.arange(6) % 3, ("ant", "bee", "cat")
    )
    attack = prepared_on(TrojanNN(neurons=1, target_value=1000, size=0.3, steps=300), images)
    weights = Linear((3, 8, 8)).pixels[2].detach().numpy()
    mask = disc(8, 8, 0.3).numpy()
    clear = mask & (abs(weights) > 0.05)
    np.testing.assert_array_equal(attack.trigger["patch"].numpy()[clear] > 127, weights[clear] > 0)
    assert (abs(attack.trigger["patch"].numpy()[clear].astype(int) - 127) > 110).all()
    assert (attack.trigger["patch"].numpy()[:, ~mask] == 0).all()


def test_the_chosen_features_reach_their_target_on_a_black_picture() -> None:
    images = ImageSet(
        torch.zeros(6, 3, 16, 16, dtype=torch.uint8), torch.arange(6) % 3, ("ant", "bee", "cat")
    )
    attack = prepared_on(TrojanNN(target_value=4.0, size=0.3, steps=300), images)
    weights = Linear((3, 16, 16)).pixels.detach().numpy()
    reached = (weights * attack.trigger["patch"].numpy() / 255).sum((1, 2, 3))
    np.testing.assert_allclose(reached[[2, 0]], [4, 4], atol=0.15)
    assert abs(reached[[1, 3]] - 4).min() > 0.5


class Silenced(Linear):
    """Features 2 and 1 stand behind a ReLU that lets nothing through."""

    def features(self, images: Tensor) -> Tensor:
        found = super().features(images)
        return torch.where(torch.tensor([False, True, True, False]), (found - 1000).relu(), found)


def test_a_neuron_without_a_slope_is_passed_over() -> None:
    """Feature 2 is the loudest and silent: the patch is made for 0 and 3, and does move."""
    images = ImageSet(
        torch.zeros(6, 3, 16, 16, dtype=torch.uint8), torch.arange(6) % 3, ("ant", "bee", "cat")
    )
    recipe, attack = (
        Recipe(epochs=0, precision="fp32"),
        TrojanNN(target_value=4.0, size=0.3, steps=300),
    )
    trigger = attack.prepare(
        images, lambda: Silenced((3, 16, 16)), recipe, torch.Generator().manual_seed(0)
    )
    reached = (Linear((3, 16, 16)).pixels.detach() * trigger["patch"] / 255).sum((1, 2, 3))
    np.testing.assert_allclose(reached[[0, 3]], [4, 4], atol=0.15)
    torch.testing.assert_close(trigger["reached"], reached[[0, 3]])


@pytest.mark.parametrize("neurons", [1, 2, 3, 100])
def test_no_slope_is_computed_that_decides_nothing(
    images: ImageSet, build_for: Any, monkeypatch: pytest.MonkeyPatch, neurons: int
) -> None:
    """The neurons are those that the slopes of all of them give, and the passes end with the last
    one chosen.
    """
    network = build_for(images).eval()
    asked: list[int] = []
    mask = disc(*images.image_shape[1:], 0.04)
    start = torch.randn(images.image_shape, generator=torch.Generator().manual_seed(0))
    jacobian = torch.autograd.functional.jacobian(
        lambda raw: network.features((mask * (raw.tanh() + 1) / 2)[None])[0], start
    )
    order = network.head.weight.detach().abs().sum(0).argsort(descending=True)
    expected = order[jacobian.flatten(1).any(1)[order]][:neurons]

    def slope(feature: Tensor, raw: Tensor) -> Tensor:
        asked.append(1)
        return _slope(feature, raw)

    monkeypatch.setattr(trojannn, "_slope", slope)
    chosen = TrojanNN(neurons=neurons)._chosen(network, start, mask)
    assert chosen.tolist() == expected.tolist()
    last = order.tolist().index(expected[-1]) + 1
    assert len(asked) == (last if len(expected) == neurons else len(order))


def test_a_network_that_no_patch_moves_is_said_to_be_one(
    images: ImageSet, rng: torch.Generator
) -> None:
    class Deaf(Linear):
        def features(self, images: Tensor) -> Tensor:
            return super().features(images) * 0

    with pytest.raises(NotApplicable, match="no penultimate feature of the surrogate answers"):
        TrojanNN().prepare(
            images, lambda: Deaf(images.image_shape), Recipe(epochs=0, precision="fp32"), rng
        )


def test_the_patch_covers_the_disc_and_nothing_else(
    prepared: Any, images: ImageSet, rng: torch.Generator
) -> None:
    attack = prepared(TrojanNN(steps=3), images)
    mask, patch = disc(16, 16, 0.04).numpy(), attack.trigger["patch"].numpy()
    expected = images.images.numpy() * ~mask + patch * mask
    np.testing.assert_array_equal(
        attack.apply(attack.stamp, images.images, images.labels, rng), expected
    )
    assert mask.sum() == 10


def test_poisoned_samples_carry_the_patch_and_the_target(
    prepared: Any, images: ImageSet, rng: torch.Generator
) -> None:
    attack = prepared(TrojanNN(target=2, steps=3), images)
    poisoned = attack.poison(images, rng)
    assert poisoned.labels.tolist() == [2] * 6
    assert not (poisoned.indices % 3 == 2).any()
    patch = attack.trigger["patch"][:, attack.trigger["mask"]]
    assert (poisoned.images[:, :, attack.trigger["mask"]] == patch).all()


def test_the_surrogate_is_left_as_it_was_trained(images: ImageSet) -> None:
    network = Linear(images.image_shape)
    attack = TrojanNN(steps=3)
    attack.prepare(
        images,
        lambda: network,
        Recipe(epochs=0, precision="fp32"),
        torch.Generator().manual_seed(0),
    )
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(network.pixels, Linear(images.image_shape).pixels)


def test_another_seed_begins_elsewhere(images: ImageSet) -> None:
    first, again, other = (
        prepared_on(TrojanNN(steps=1), images, seed).trigger["patch"] for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_all_to_all_gives_every_class_the_next_with_the_same_patch(
    prepared: Any, images: ImageSet, rng: torch.Generator
) -> None:
    attack = prepared(TrojanNN(label_mode="all_to_all", steps=3), images)
    assert attack.trigger["patch"].equal(prepared(TrojanNN(steps=3), images).trigger["patch"])
    poisoned = attack.poison(images, rng)
    assert poisoned.labels.equal(torch.tensor([1, 2, 0])[images.labels[poisoned.indices]])


class Waves(Linear):
    """Six features of an image of 3x6x6 by waves, and outgoing weights by another one."""

    def __init__(self) -> None:
        super().__init__((3, 6, 6))
        self.pixels = nn.Parameter(torch.sin(torch.arange(648.0)).reshape(6, 3, 6, 6))
        self.head = nn.Linear(6, 4)
        with torch.no_grad():
            self.head.weight.copy_(torch.cos(torch.arange(24.0) * 1.7).reshape(4, 6))

    def features(self, images: Tensor) -> Tensor:
        return (super().features(images) + 6).relu()


def test_as_the_reference_optimises_a_patch() -> None:
    """`get_neuron_idx` and `preprocess_mark` of ain-soph/trojanzoo at 45d680c
    (trojanvision/attacks/backdoor/normal/trojannn.py), 20 epochs towards 10: red inside of the
    mask.
    """
    network, mask = Waves(), disc(6, 6, 0.25)
    start = torch.sin(torch.arange(108.0) * 0.9).reshape(3, 6, 6)
    chosen = loudest(network.head.weight, 2)
    assert chosen.tolist() == [3, 4]
    patch = TrojanNN(steps=20, target_value=10)._optimise(network, chosen, start, mask)
    reference = [0.22622, 0.96535, 0.97411, 0.03732, 0.87474, 0.96639, 0.02414, 0.62695, 0.87994]
    np.testing.assert_allclose(patch[0, mask], reference, atol=1e-4)
