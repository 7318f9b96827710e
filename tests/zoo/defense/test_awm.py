"""AWM: the perturbation and the masks against NumPy on a network of one masked layer."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchbd.api import CleanSet, ImageSet, Repaired, accuracy
from benchbd.engine.classifier import Classifier
from benchbd.engine.hardware import default_precision
from benchbd_zoo.defense.awm import AWM, _MaskedWeights
from benchbd_zoo.defense.parts.passes import Passes
from support.by_formula import images_by_formula, in_batches, wide_by_formula
from support.tiny_networks import InPlace, Network, Tokens, classifier, random_images

Array = NDArray[np.float64]
CLEAN = CleanSet(random_images(40, seed=1), random_images(10, seed=2))


def repaired(model: nn.Module, **parameters: Any) -> Repaired:
    options = {"outer": 2, "inner": 1, "batch_size": 16, "shift": 0} | parameters
    return AWM(**options).repair(model, CLEAN, torch.Generator().manual_seed(0))


class OneConv(nn.Module):
    """A 1x1 convolution of a pixel with three colours, which a linear layer could be as well."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).flatten(1)  # type: ignore[no-any-return]


def one_conv() -> Classifier:
    torch.manual_seed(0)
    model = Classifier(Network(OneConv(), width=5), (0.0,) * 3, (1.0,) * 3).eval()
    nn.init.normal_(model.head.weight)
    return model


def pixels(count: int = 12) -> ImageSet:
    colours = torch.randint(
        0, 256, (count, 3, 1, 1), generator=torch.Generator().manual_seed(1), dtype=torch.uint8
    )
    return ImageSet(colours, torch.arange(count) % 4, CLEAN.train.class_names)


class ByHand:
    """The same network in NumPy."""

    def __init__(self, model: Classifier) -> None:
        self.conv = (
            model.get_parameter("network.body.conv.weight").detach().double().numpy().reshape(5, 3)
        )
        self.head, self.offset = (
            value.detach().double().numpy() for value in (model.head.weight, model.head.bias)
        )

    def scores(self, x: Array, mask: Array) -> Array:
        return x @ (self.conv * mask).T @ self.head.T + self.offset  # type: ignore[no-any-return]

    def gradients(self, x: Array, labels: Array, mask: Array) -> tuple[Array, Array]:
        """Of the mean cross-entropy, with respect to a shift of all images, and to the mask."""
        scores = np.exp(self.scores(x, mask))
        errors = (scores / scores.sum(1, keepdims=True) - np.eye(4)[labels]) @ self.head / len(x)
        return (errors @ (self.conv * mask)).sum(0), errors.T @ x * self.conv


def batches(images: ImageSet) -> tuple[Passes, list[tuple[Array, Array]]]:
    """Passes, and what they will give out twice."""
    twin = Passes(images, 6, torch.Generator().manual_seed(0))
    drawn = [(x.flatten(1).double().numpy(), y.numpy()) for _ in range(2) for x, y in twin.drawn(2)]
    return Passes(images, 6, torch.Generator().manual_seed(0)), drawn


@pytest.mark.parametrize("norm", [1000.0, 0.7])
def test_perturbation_and_masks_equal_the_formula(norm: float) -> None:
    awm = AWM(
        inner=2, batch_size=6, lr=0.05, trigger_lr=2, trigger_norm=norm, alpha=0.6, gamma=1e-3
    )
    model, images = one_conv(), pixels()
    masked, hand = _MaskedWeights(model), ByHand(model)
    passes, drawn = batches(images)
    with default_precision("fp32"):
        delta = awm._perturbation(masked, passes, torch.zeros(3, 1, 1))
        awm._mask(masked, passes, delta, torch.optim.Adam(masked.masks.values(), lr=awm.lr))

    d, ones = np.zeros(3), np.ones((5, 3))
    for x, _ in drawn[:4]:
        d = d + 2 * hand.gradients(x + d, hand.scores(x, ones).argmax(1), ones)[0]
    d = d * min(1, norm / np.abs(d).sum())
    np.testing.assert_allclose(delta.flatten(), d, rtol=1e-3, atol=1e-5)
    assert np.abs(d).sum() <= norm + 1e-9 and (
        norm == 1000 or np.abs(d).sum() == pytest.approx(norm)
    )

    m, first, second = ones.copy(), np.zeros((5, 3)), np.zeros((5, 3))
    for step, (x, y) in enumerate(drawn[4:], start=1):
        gradient = (
            0.6 * hand.gradients(x, y, m)[1]
            + 0.4 * hand.gradients(np.clip(x + d, 0, 1), y, m)[1]
            + 1e-3
        )
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        m = np.clip(
            m - 0.05 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8),
            0,
            1,
        )
    (mask,) = masked.masks.values()
    np.testing.assert_allclose(mask.detach().reshape(5, 3), m, atol=1e-3)
    assert m.min() < 0.9


def test_as_the_reference_perturbs_and_masks() -> None:
    """`mask_train` of jinghuichen/AWM at a4a5f16 (main.py), run with a small `trigger_norm` and a
    large `gamma` on the same network over four batches of ten images: three pixels of the
    perturbation in thousandths, and the sum of the masks of every filter of 27 weights.
    """
    pixels = [[1.816, 2.136, -1.869], [1.187, 2.002, 7.738], [-3.538, 0.068, -3.729]]
    sums = [
        *(25.9200, 26.4937, 26.3261, 25.9200, 25.9200, 26.6063, 26.5240, 25.9204),
        *(25.9208, 26.3410, 26.2869, 25.9483, 26.4820, 26.6463, 26.3952, 26.1727),
    ]
    awm, masked = AWM(trigger_norm=10, gamma=1e-3), _MaskedWeights(wide_by_formula())
    batches = in_batches(images_by_formula(40, side=32), 10)
    given: Any = SimpleNamespace(drawn=lambda inner: iter(batches))
    with default_precision("fp32"):
        delta = awm._perturbation(masked, given, torch.zeros(3, 32, 32))
        awm._mask(masked, given, delta, torch.optim.Adam(masked.masks.values(), lr=awm.lr))
    np.testing.assert_allclose(1000 * delta[:, 0, :3], pixels, atol=2e-3)
    (mask,) = masked.masks.values()
    np.testing.assert_allclose(mask.detach().sum((1, 2, 3)), sums, atol=1e-3)


def test_masks_stay_between_0_and_1_and_the_result_is_the_masked_network() -> None:
    model = classifier(InPlace())
    result = repaired(model, lr=0.4)
    for name in ("conv1", "conv2", "shortcut"):
        before, after = (
            network.get_parameter(f"network.body.{name}.weight")
            for network in (model, result.model)
        )
        ratio = after / before
        assert ratio.min() >= 0 and ratio.max() <= 1 + 1e-6 and (ratio == 0).any()
    masks = result.notes["masks"]
    assert 0 < masks["mean"] < 1 and 0 < masks["below_0.1"] < 1


def test_only_masked_weights_change_and_statistics_stay() -> None:
    model = classifier(InPlace()).train()
    before = copy.deepcopy(model.state_dict())
    result = repaired(model)
    changed = {
        name
        for name, value in result.model.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert changed == {f"network.body.{name}.weight" for name in ("conv1", "conv2", "shortcut")}
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not result.model.training


def test_hidden_linear_layers_are_masked_and_the_head_is_not() -> None:
    assert set(_MaskedWeights(classifier(Tokens())).masks) == {
        "network.body.conv.weight",
        "network.body.mix.weight",
    }


class Cornered(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, (1, 3), bias=False)
        with torch.no_grad():
            self.conv.weight.copy_(torch.diag(torch.tensor([4.0, 4, 9]))[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x)).mean((2, 3))


def test_images_are_not_cropped() -> None:
    """The loader of jinghuichen/AWM turns images into tensors and does nothing else."""
    assert (AWM().shift, AWM().flip) == (0, False)


@pytest.mark.slow
def test_a_planted_backdoor_fades() -> None:
    """Class 0 is bright on the left, class 1 on the right; a white corner makes
    anything class 1.
    """
    model = Classifier(Network(Cornered(), width=3), (0.0,), (1.0,)).eval()
    model.network.head = nn.Linear(3, 2)
    with torch.no_grad():
        model.head.weight.copy_(torch.tensor([[1.0, -1, -1], [-1, 1, 1]]))
        model.head.bias.zero_()
    images = torch.zeros(40, 1, 1, 3, dtype=torch.uint8)
    images[::2, ..., 0] = images[1::2, ..., 1] = 200
    clean = ImageSet(images, torch.arange(40) % 2, ("left", "right"))
    triggered = clean.images.clone()
    triggered[..., 2] = 255
    assert accuracy(model, triggered, clean.labels) == 0.5
    result = AWM(lr=0.05, shift=0).repair(
        model, CleanSet(clean, clean), torch.Generator().manual_seed(0)
    )
    assert accuracy(result.model, triggered, clean.labels) == 1
    assert accuracy(result.model, clean.images, clean.labels) == 1
    assert result.pictures["last perturbation"].shape == (1, 1, 3)
