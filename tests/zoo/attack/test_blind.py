"""Blind backdoor: the square, the weights of the two losses, and the gradient that is descended."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchbd.data.images import ImageSet
from benchbd.errors import NotApplicable
from benchbd_zoo.attack.blind import Blind, Scale, balanced, main_share

Array = np.ndarray[Any, Any]
SQUARE = torch.tensor([[True, False], [False, True]])


def share_by_search(g1: Array, g2: Array) -> float:
    """The share for which the mixture is shortest, among a million."""
    shares = np.linspace(0, 1, 1_000_001)
    inner, cross, outer = g1 @ g1, g1 @ g2, g2 @ g2
    return float(
        shares[
            np.argmin(
                shares**2 * inner + 2 * shares * (1 - shares) * cross + (1 - shares) ** 2 * outer
            )
        ]
    )


def scaled(gradient: Array, loss: float, scale: str) -> Array:
    length = float(np.sqrt(np.square(gradient).sum()))
    by = {"none": 1.0, "l2": length, "loss": min(loss, 10), "loss+": min(loss * length, 10)}
    return gradient / by[scale]


class Softmax(nn.Module):
    """A linear classifier, whose gradients are known."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(
            torch.randn(3, pixels, generator=torch.Generator().manual_seed(2)) / 10
        )
        self.unused = nn.Parameter(torch.ones(2))

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight.T


def of_softmax(weight: Array, images: Array, labels: Array) -> tuple[float, Array]:
    """Cross-entropy and its gradient over the weight."""
    x = images.reshape(len(images), -1)
    logits = x @ weight.T
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    loss = -np.log(chances[np.arange(len(x)), labels]).mean()
    return float(loss), (chances - np.eye(3)[labels]).T @ x / len(x)


@pytest.mark.parametrize("scale", get_args(Scale))
@pytest.mark.parametrize("factor", [0.2, 1.0, 40.0])
def test_the_share_gives_the_shortest_mixture_of_scaled_gradients(
    scale: Scale, factor: float
) -> None:
    g1, g2 = np.random.default_rng(0).normal(size=(2, 50))
    g2 = factor * (g2 + 0.3 * g1)
    expected = share_by_search(scaled(g1, 0.4, scale), scaled(g2, 3.0, scale))
    share = main_share(
        torch.tensor(g1), torch.tensor(g2), torch.tensor(0.4), torch.tensor(3.0), scale
    )
    assert share.item() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("g2", "expected"),
    [([3.0, 0.0], 1.0), ([0.2, 0.0], 0.0), ([1.0, 0.0], 0.5), ([0.0, 1.0], 0.5), ([-3.0, 0], 0.75)],
)
def test_shares_worked_out_by_hand(g2: list[float], expected: float) -> None:
    """Beside g1 = (1, 0): the shorter of two that point the same way, half where they are equal or
    stand upright.
    """
    one = torch.tensor(1.0)
    assert main_share(
        torch.tensor([1.0, 0.0]), torch.tensor(g2), one, one, "none"
    ).item() == pytest.approx(expected)


@pytest.mark.parametrize("scale", ["none", "loss+"])
def test_what_is_descended_is_the_weighed_sum_of_both_gradients(
    handed_to_fit: Any, images: ImageSet, scale: Scale
) -> None:
    attack = Blind(
        target=2, size=2, mgda_normalize=scale, poison_ratio=0.5, loss_threshold=None
    ).with_trigger({"square": SQUARE})
    model = Softmax(3 * 16 * 16)
    batch, labels = (
        images.images[:20] / 255,
        torch.arange(20) // 15,
    )  # nearly all of class 0, so that the tasks disagree
    value = loss_of(attack, handed_to_fit, images, model)(model, batch, labels)
    value.backward()
    x, weight = batch.double().numpy(), model.weight.detach().double().numpy()
    triggered = x[:10].copy()
    triggered[:, :, 1:3, 1:3] = SQUARE.numpy()
    (loss1, g1), (loss2, g2) = (
        of_softmax(weight, x, labels.numpy()),
        of_softmax(weight, triggered, np.full(10, 2)),
    )
    share = share_by_search(scaled(g1, loss1, scale).ravel(), scaled(g2, loss2, scale).ravel())
    assert value.item() == pytest.approx(share * loss1 + (1 - share) * loss2, rel=1e-4)
    assert model.weight.grad is not None
    np.testing.assert_allclose(model.weight.grad, share * g1 + (1 - share) * g2, atol=1e-5)
    assert 0.05 < share < 0.95


def loss_of(attack: Blind, handed_to_fit: Any, images: ImageSet, model: nn.Module) -> Any:
    """The loss that the training loop is handed for `model`."""
    return handed_to_fit(attack, images, model=model)["loss"]


class Confident(nn.Module):
    """Gives images whose first pixel is p the logits (p, 0), so that their loss in class 0 is
    log(1 + exp(-p)); keeps how many images it was shown at a time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.shown: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.shown.append(len(images))
        first = self.scale * images[:, 0, 0, :1]
        return torch.cat([first, torch.zeros_like(first)], 1)


def attacked(losses: Array, handed_to_fit: Any, images: ImageSet, **parameters: Any) -> list[bool]:
    """Whether batches on which the clean loss is as given come under attack, one after another."""
    attack, model = Blind(size=2, **parameters).with_trigger({"square": SQUARE}), Confident()
    loss = loss_of(attack, handed_to_fit, images, model)
    for value in losses:
        batch = torch.full((20, 3, 16, 16), -float(np.log(np.expm1(value))))
        loss(model, batch, torch.zeros(20, dtype=torch.int64))
    return [count == 40 for count in model.shown]


@pytest.mark.slow
def test_errata_the_attack_waits_for_the_mean_loss_of_the_last_1000_batches(
    handed_to_fit: Any, images: ImageSet
) -> None:
    """As in `compute_blind_loss` of ebagdasa/backdoors101 at 9f48fbb (attack.py), with the
    `loss_threshold` of its configs/cifar10_params.yaml: the 1,000 batches before count, this one
    does not.
    """
    losses = np.concatenate([np.full(500, 1.8), np.full(700, 0.3)])
    seen = [
        place >= 1000 and losses[place - 1000 : place].mean() < 1.0 for place in range(len(losses))
    ]
    assert seen.index(True) == 1034
    assert attacked(losses, handed_to_fit, images, batch_history=1000) == seen


def test_unless_said_the_mean_goes_over_as_many_epochs_as_there(
    handed_to_fit: Any, images: ImageSet
) -> None:
    """1,000 of the 391 batches of an epoch there are 2.56 epochs: as many of few batches here."""
    found = attacked(np.full(300, 0.3), handed_to_fit, images)
    assert found.index(True) == round(2.5575 * 3)  # 60 images in batches of 20


def test_the_attack_pauses_while_the_mean_is_high_again(
    handed_to_fit: Any, images: ImageSet
) -> None:
    losses = np.array([0.4, 0.4, 0.4, 3.0, 0.4, 0.4, 0.4, 0.4])
    found = attacked(losses, handed_to_fit, images, batch_history=3, loss_threshold=1.0)
    assert found == [False, False, False, True, False, False, False, True]


def test_without_a_threshold_the_attack_sets_in_at_once(
    handed_to_fit: Any, images: ImageSet
) -> None:
    assert attacked(np.full(2, 5.0), handed_to_fit, images, loss_threshold=None) == [True, True]


def test_batch_and_copies_pass_together(handed_to_fit: Any, images: ImageSet) -> None:
    """BatchNorm then counts one batch of both, and not one of each."""
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3 * 16 * 16, 3))
    attack = Blind(size=2, poison_ratio=0.5, loss_threshold=None).with_trigger({"square": SQUARE})
    batch, labels = images.images[:20] / 255, images.labels[:20]
    loss_of(attack, handed_to_fit, images, model)(model, batch, labels).backward()
    norm = model[0]
    assert norm.num_batches_tracked == 1
    x = torch.cat([batch, batch[:10]])
    x[20:, :, 1:3, 1:3] = SQUARE.float()
    np.testing.assert_allclose(norm.running_mean, 0.1 * x.mean((0, 2, 3)), atol=1e-6)


def test_weights_that_take_no_part_get_no_slope() -> None:
    model = Softmax(4)
    images, labels = (
        torch.rand(6, 1, 2, 2, generator=torch.Generator().manual_seed(0)),
        torch.arange(6) % 3,
    )
    losses = [nn.functional.cross_entropy(model(part), labels) for part in (images, 1 - images)]
    balanced(losses[0], losses[1], list(model.parameters()), "loss+").backward()
    assert model.unused.grad is not None
    assert not model.unused.grad.any()


@pytest.mark.parametrize(("size", "margin"), [(3, 1), (1, 0), (2, 6)])
def test_the_square_is_half_white_and_sits_in_its_corner(
    prepared: Any, images_of: Any, size: int, margin: int
) -> None:
    images = images_of(3, 8, 8, count=6)
    attack = prepared(Blind(size=size, margin=margin), images)
    square = attack.trigger["square"].numpy()
    assert square.shape == (size, size)
    assert square.sum() == {1: 1, 2: 2, 3: 5}[size]
    expected = images.images.numpy().copy()
    expected[:, :, margin : margin + size, margin : margin + size] = 255 * square
    np.testing.assert_array_equal(
        attack.apply(attack.stamp, images.images, images.labels, torch.Generator()), expected
    )


def test_the_square_is_drawn_from_the_seed(prepared: Any, images: ImageSet) -> None:
    first, again, other = (
        prepared(Blind(size=5), images, seed).trigger["square"] for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_square_that_does_not_fit_does_not_apply(prepared: Any, images_of: Any) -> None:
    with pytest.raises(
        NotApplicable, match="square of 3 pixels and a margin of 6 do not fit images of 8x8"
    ):
        prepared(Blind(margin=6), images_of(1, 8, 8))


def test_below_one_image_a_batch_some_batches_are_attacked(
    handed_to_fit: Any, images: ImageSet
) -> None:
    attack = Blind(poison_ratio=0.02, loss_threshold=None, size=2).with_trigger({"square": SQUARE})
    model = Confident()
    loss = loss_of(attack, handed_to_fit, images, model)
    batch, labels = torch.zeros(20, 3, 16, 16), torch.zeros(20, dtype=torch.int64)
    values = [loss(model, batch, labels).item() for _ in range(300)]
    assert np.isfinite(values).all()
    assert set(model.shown) == {20, 21}
    assert np.mean(model.shown) - 20 == pytest.approx(0.4, abs=4 * (0.4 * 0.6 / 300) ** 0.5)


@pytest.mark.parametrize(
    ("scale", "reference"),
    [("loss+", 0.143163), ("l2", 0.5), ("loss", 0.132151), ("none", 0.476594)],
)
def test_as_the_reference_shares(scale: Scale, reference: float) -> None:
    """`MGDASolver.get_scales` of ebagdasa/backdoors101 at 9f48fbb (utils/min_norm_solvers.py) for
    losses of 0.5 and 1.25. Where one gradient alone is the shortest, it gives 0.999 and 0.001 in
    place of 1 and 0.
    """
    g1, g2 = torch.sin(torch.arange(1, 13.0)), torch.cos(torch.arange(1, 13.0) / 2)
    share = main_share(g1, g2, torch.tensor(0.5), torch.tensor(1.25), scale)
    assert share.item() == pytest.approx(reference, abs=1e-5)
