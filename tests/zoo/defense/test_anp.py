"""Adversarial Neuron Pruning: its update against plain NumPy, its path and its choice."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchbd.api import CleanSet, ImageSet, NotApplicable, Repaired, accuracy, path_by_threshold
from benchbd.engine.classifier import Classifier
from benchbd_zoo.defense.anp import ANP
from benchbd_zoo.defense.parts.masked_norms import NoisyNorms
from support.by_formula import images_by_formula, in_batches, wide_by_formula
from support.planted_choice import cornered
from support.tiny_networks import InPlace, Network, Plain, Tokens, classifier, random_images

Array = NDArray[np.float64]
CLEAN = CleanSet(random_images(40, seed=1), random_images(60, seed=2))


def repaired(model: nn.Module, clean: CleanSet = CLEAN, **parameters: Any) -> Repaired:
    options = {"nb_iter": 3, "batch_size": 16, "shift": 0} | parameters
    return ANP(**options).repair(model, clean, torch.Generator().manual_seed(0))


def masks(result: Repaired) -> Tensor:
    return torch.cat(list(result.tensors.values()))


class FlatNorm(nn.Module):
    """Pixels, normalised: the whole network is then norm and head, and its gradients fit on one
    line.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.flatten(1))  # type: ignore[no-any-return]


def flat_network() -> nn.Module:
    torch.manual_seed(3)
    network = Network(FlatNorm(), width=3)
    with torch.no_grad():
        network.body.norm.weight.copy_(torch.tensor([0.8, -1.2, 0.5]))
        network.body.norm.bias.copy_(torch.tensor([0.3, 0.1, -0.6]))
        network.head.weight.copy_(2 * torch.randn(4, 3))
    return Classifier(network, (0.0,), (1.0,)).requires_grad_(False).train()


class ByHand:
    """The same network in NumPy: cross-entropy of y = w * s * z + b * t with z normalised over the
    batch.
    """

    def __init__(self, network: nn.Module, images: Tensor, labels: Tensor) -> None:
        parameters = {
            name.rpartition("network.")[2]: p.double().numpy()
            for name, p in network.named_parameters()
        }
        self.w, self.b = parameters["body.norm.weight"], parameters["body.norm.bias"]
        self.head, self.offset = parameters["head.weight"], parameters["head.bias"]
        pixels = images.flatten(1).double().numpy()
        self.z = (pixels - pixels.mean(0)) / np.sqrt(pixels.var(0) + 1e-5)
        self.hot = np.eye(4)[labels.numpy()]

    def gradients(self, scale: Array, shift: Array) -> tuple[Array, Array]:
        """With respect to s and t, from the derivative softmax - label of the cross-entropy."""
        scores = np.exp((self.w * scale * self.z + self.b * shift) @ self.head.T + self.offset)
        at_output = (scores / scores.sum(1, keepdims=True) - self.hot) @ self.head / len(self.z)
        return (at_output * self.w * self.z).sum(0), (at_output * self.b).sum(0)


@pytest.mark.parametrize("steps", [1, 3])
def test_updates_equal_the_formula(steps: int) -> None:
    """Two updates, so that momentum counts; masks start inside (0, 1), where clipping hides
    nothing.
    """
    anp = ANP(anp_eps=0.4, anp_steps=steps, anp_alpha=0.2, lr=0.1, momentum=0.9)
    network = flat_network()
    images = torch.rand(12, 1, 1, 3, generator=torch.Generator().manual_seed(4))
    labels = torch.arange(12) % 4
    masked, twin = NoisyNorms(network), NoisyNorms(network)
    (mask,) = masked.masks.values()
    mask.data = torch.tensor([0.5, 0.4, 0.6])
    optimizer = torch.optim.SGD([mask], lr=anp.lr, momentum=anp.momentum)
    draws, same_draws = (torch.Generator().manual_seed(5) for _ in range(2))
    hand, m, speed = ByHand(network, images, labels), np.array([0.5, 0.4, 0.6]), np.zeros(3)
    for _ in range(2):
        anp._update(masked, optimizer, images, labels, draws)

        twin.draw_noise(anp.anp_eps, same_draws)
        d, xi = (
            next(iter(noise.values())).detach().double().numpy()
            for noise in (twin.scale_noise, twin.shift_noise)
        )
        assert np.abs([d, xi]).max() <= 0.4
        for _ in range(steps):
            by_scale, by_shift = hand.gradients(m + d, 1 + xi)
            d, xi = d + 0.4 / steps * np.sign(by_scale), xi + 0.4 / steps * np.sign(by_shift)
        gradient = 0.2 * hand.gradients(m, np.ones(3))[0] + 0.8 * hand.gradients(m + d, 1 + xi)[0]
        speed = 0.9 * speed + gradient
        m = np.clip(m - 0.1 * speed, 0, 1)
        np.testing.assert_allclose(mask.detach(), m, atol=1e-5)
    assert np.abs(m - [0.5, 0.4, 0.6]).min() > 1e-3


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (1, [0.9938, 1, 0.8277, 0.9680, 0.9437, 1, 1, 1, 0.8573, 0.8973, 0.9624, 1, 0.9045, 1]),
        (3, [0.9939, 1, 0.8265, 0.9621, 0.9432, 1, 1, 1, 0.8569, 0.8968, 0.9621, 1, 0.9040, 1]),
    ],
)
def test_as_the_reference_learns_masks(steps: int, expected: list[float]) -> None:
    """`mask_train` of csdongxian/ANP_backdoor at ec7b179 (optimize_mask_cifar.py), run with its
    defaults on the same network over four batches of ten images, its noise drawn from the same
    seed: the masks of the first 14 channels of 16.
    """
    anp = ANP(anp_steps=steps)
    masked = NoisyNorms(wide_by_formula())
    optimizer = torch.optim.SGD(masked.masks.values(), lr=anp.lr, momentum=anp.momentum)
    draws = torch.Generator().manual_seed(0)
    for images, labels in in_batches(images_by_formula(40), 10):
        anp._update(masked, optimizer, images, labels, draws)
    (learned,) = masked.values().values()
    assert learned[:14].tolist() == pytest.approx(expected, abs=1e-4)


def test_as_the_reference_counts_by_threshold() -> None:
    """`evaluate_by_threshold` of csdongxian/ANP_backdoor at ec7b179 (prune_neuron_cifar.py), run on
    masks of which none is a threshold itself: the channels pruned from 0 to 0.9.
    """
    learned = torch.tensor([0.4628, 0.9020, 0.7460, 0.5625, 0.6709, 0.8568, 0.6039, 0.5838])
    assert ANP().path({"norm": learned}).cuts == (*[0] * 10, 1, 1, 3, 4, 5, 6, 6, 6, 7)


def test_masks_are_clipped_from_both_sides() -> None:
    learned = masks(repaired(classifier(InPlace()), lr=50.0, nb_iter=4))
    assert learned.min() >= 0 and learned.max() <= 1
    assert (learned == 0).any() and (learned == 1).any()


def cornered_images(count: int, seed: int, white: bool = False) -> ImageSet:
    """One row of three pixels: left, right, and a corner that is nearly black unless `white`."""
    images = torch.zeros(count, 1, 1, 3, dtype=torch.uint8)
    images[::2, ..., 0] = images[1::2, ..., 1] = 200
    images[..., 2] = torch.randint(
        0, 8, (count, 1, 1), generator=torch.Generator().manual_seed(seed)
    )
    images[..., 2] += 240 * white
    return ImageSet(images, torch.arange(count) % 2, ("left", "right"))


@pytest.mark.slow
def test_a_planted_backdoor_channel_is_pruned() -> None:
    model, triggered = cornered(), cornered_images(40, seed=3, white=True)
    assert accuracy(model, triggered.images, triggered.labels) == 0.5
    clean = CleanSet(cornered_images(40, seed=1), cornered_images(20, seed=2))
    result = repaired(model, clean, nb_iter=100, batch_size=32)
    assert result.sweep is not None
    assert result.sweep.path.units[0].channel == 2
    assert accuracy(result.model, triggered.images, triggered.labels) == 1
    assert accuracy(result.model, clean.validation.images, clean.validation.labels) == 1


def test_the_sweep_over_thresholds() -> None:
    result = repaired(classifier(InPlace()), lr=2.0)
    assert result.sweep is not None
    path = result.sweep.path
    assert path.axis == "threshold" and path.where == "scale"
    assert path.values == pytest.approx([0.05 * i for i in range(19)])
    assert list(path.cuts) == [int((masks(result) < value - 1e-7).sum()) for value in path.values]


def test_the_sweep_over_numbers() -> None:
    result = repaired(
        classifier(InPlace()), pruning_by="number", pruning_step=0.25, pruning_max=0.8
    )
    assert result.sweep is not None
    assert result.sweep.path.axis == "number"
    assert result.sweep.path.values == (0, 3, 6, 9)  # of 12 channels


@pytest.mark.parametrize(
    ("fixed", "pruned"),
    [
        ({"pruning_by": "number", "pruning_number": 5}, 5),
        ({"pruning_by": "number", "pruning_number": 99}, 12),
        ({"pruning_number": 1.5}, 12),
    ],
    ids=["number", "more than there are", "threshold"],
)
def test_a_fixed_pruning_is_taken_whatever_it_costs(fixed: dict[str, Any], pruned: int) -> None:
    model = classifier(InPlace())
    result = repaired(model, acc_ratio=0, **fixed)
    assert (
        result.sweep is not None and result.notes["pruned"] == pruned and result.notes["of"] == 12
    )
    zeroed = sum(
        int((result.model.get_parameter(f"network.body.{bn}.weight") == 0).sum())
        for bn in ("bn1", "bn2")
    )
    assert zeroed == pruned


def test_a_fixed_threshold_joins_the_sweep() -> None:
    result = repaired(classifier(InPlace()), pruning_number=0.33)
    assert result.sweep is not None
    assert result.sweep.path.values[result.sweep.chosen] == 0.33
    assert len(result.sweep.path) == 20


@pytest.mark.parametrize(("acc_ratio", "chosen"), [(0.0, 1), (0.1, 2), (0.5, 4), (1.0, 5)])
def test_the_choice_is_the_last_step_before_the_first_fall(acc_ratio: float, chosen: int) -> None:
    # of 0.8 without pruning, 0.1 leaves 0.72 and 0.5 leaves 0.4; step 4 is inside 0.1 again, but
    # accuracy has fallen before
    accuracies = (0.8, 0.8, 0.72, 0.71, 0.75, 0.2)
    path = path_by_threshold({"layer": torch.arange(6.0)}, [0.0, 1, 2, 3, 4, 5], "scale")
    assert ANP(acc_ratio=acc_ratio).choose(path, accuracies) == chosen


def test_nothing_is_pruned_when_the_first_step_costs_too_much() -> None:
    """At threshold 0 even masks that were clipped to zero stay: that row is the network that was
    handed in.
    """
    path = path_by_threshold({"layer": torch.zeros(2)}, [0.0, 0.5], "scale")
    assert path.cuts == (0, 2)
    assert ANP(acc_ratio=0.1).choose(path, (0.8, 0.6)) == 0


def test_the_model_handed_in_stays_as_it_is() -> None:
    model = classifier(InPlace())
    before = copy.deepcopy(model.state_dict())
    result = repaired(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not result.model.training


def test_only_scales_are_pruned() -> None:
    model = classifier(Tokens())
    result = repaired(model, pruning_number=1.0)
    changed = {
        name
        for name, value in result.model.named_parameters()
        if not torch.equal(value, model.get_parameter(name))
    }
    assert changed == {"network.body.group.weight", "network.body.norm.weight"}


def test_masks_are_learned_with_the_statistics_of_the_batch() -> None:
    model, shifted = classifier(InPlace()), classifier(InPlace())
    shifted.network.body.bn1.running_mean.add_(5)
    assert torch.equal(masks(repaired(model)), masks(repaired(shifted)))


def test_same_generator_same_masks() -> None:
    first, second = (masks(repaired(classifier(InPlace()), flip=True, shift=1)) for _ in range(2))
    other = ANP(nb_iter=3, batch_size=16).repair(
        classifier(InPlace()), CLEAN, torch.Generator().manual_seed(1)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, masks(other))


def test_the_log_has_a_line_every_so_often() -> None:
    log = repaired(classifier(InPlace()), nb_iter=7, print_every=3).notes["log"]
    assert [line["iteration"] for line in log] == [3, 6]


def test_a_norm_that_never_runs_keeps_its_masks() -> None:
    model = classifier(InPlace())
    model.network.body.add_module("idle", nn.BatchNorm2d(2))
    assert repaired(model, lr=5.0).tensors["mask.network.body.idle"].tolist() == [1, 1]


def test_no_norms_is_an_answer() -> None:
    with pytest.raises(NotApplicable, match="no normalisation layer"):
        repaired(classifier(Plain()))
