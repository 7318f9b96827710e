"""Input-aware attack: its formulas, what a batch is made of, and that its networks learn what they
are asked to.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchbd.data.images import ImageSet
from benchbd.engine.recipe import Recipe
from benchbd_zoo.attack import input_aware
from benchbd_zoo.attack.input_aware import Drawing, InputAware, diversity, hardened, stream
from benchbd_zoo.attack.parts import generator

Array = np.ndarray[Any, Any]
SMALL = {"mask_epochs": 1, "width": 2}


class Seen(nn.Module):
    """A classifier that keeps what it was shown; the first pixels are its logits."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.shown = torch.zeros(0)

    def forward(self, images: Tensor) -> Tensor:
        self.shown = images.detach()
        return self.scale * images.flatten(1)[:, :3]


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> list[Drawing]:
    """The mask and the pattern network, in the order in which they are drawn."""
    caught: list[Drawing] = []

    def drawn(*given: Any) -> Any:
        caught.append(generator.drawn(*given))
        return caught[-1]

    monkeypatch.setattr(input_aware, "drawn", drawn)
    return caught


def distance(first: Array, second: Array) -> Array:
    root: Array = np.sqrt(np.square(first - second).mean((1, 2, 3)))
    return root


def test_diversity_compares_distances_of_images_with_those_of_their_maps(images_of: Any) -> None:
    x, z = images_of(3, 8, 8, count=10).images.double().div(255).split(5)
    of_x, of_z = x.square()[:, :1], z.sqrt()[:, :1]
    expected = (distance(x.numpy(), z.numpy()) / distance(of_x.numpy(), of_z.numpy())).mean()
    assert diversity(x, z, of_x, of_z).item() == pytest.approx(expected, rel=1e-4)


def test_equal_images_ask_for_nothing_and_equal_maps_have_a_slope() -> None:
    x = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    maps = x.clone().requires_grad_()
    assert diversity(x, x, maps, maps * 0.5).item() < 1e-5
    diversity(x, x.flip(0), maps, maps.detach()).backward()
    assert maps.grad is not None
    assert maps.grad.isfinite().all()


def test_hardening_drives_a_mask_to_its_ends() -> None:
    mask = np.linspace(0, 1, 11)
    np.testing.assert_allclose(
        hardened(torch.tensor(mask)), np.tanh(20 * mask - 10) / 2 + 0.5, atol=1e-6
    )


def test_the_mask_loss_is_the_formula(images_of: Any) -> None:
    x, z = images_of(3, 8, 8, count=10).images.float().div(255).split(5)
    of_x, of_z = x[:, :1] * 0.1, z[:, 1:2] * 0.1
    attack = InputAware(lambda_norm=7, lambda_div=0.5, mask_density=0.05)
    expected = 7 * np.maximum(of_x.numpy() - 0.05, 0).mean()
    expected += 0.5 * (distance(x.numpy(), z.numpy()) / distance(of_x.numpy(), of_z.numpy())).mean()
    assert attack._mask_loss(x, z, of_x, of_z).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "outside", "stages"), [((1, 8, 8), 1, 2), ((3, 14, 20), 3, 2), ((3, 33, 40), 1, 3)]
)
def test_a_map_has_the_size_of_its_image_and_stays_within_0_and_1(
    shape: tuple[int, int, int], outside: int, stages: int
) -> None:
    network = generator.drawn(
        lambda: Drawing(shape[0], outside, 4, stages), torch.Generator().manual_seed(0)
    )
    maps = network(torch.rand(5, *shape))
    assert maps.shape == (5, outside, *shape[1:])
    assert 0 <= maps.min() < maps.max() <= 1
    assert [len(block) for block in network.up[-1]] == [3, 2]


@pytest.mark.parametrize(("side", "widths"), [(16, [16, 32]), (31, [16, 32]), (32, [32, 64, 128])])
def test_the_networks_grow_with_the_images(side: int, widths: list[int]) -> None:
    network = InputAware()._network(3, 1, side)
    assert [stage[0][0].out_channels for stage in network.down] == widths
    assert {layer.momentum for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)} == {
        0.05
    }


@pytest.mark.slow
def test_the_stamp_is_pattern_where_the_mask_is(
    images: ImageSet, build_for: Any, short: Recipe
) -> None:
    answer = InputAware(**SMALL).train(
        build_for(images), images, short, torch.Generator().manual_seed(0)
    )
    attack = InputAware(**SMALL).with_trigger(answer.trigger)
    mask, pattern = (
        generator.restored(*given, answer.trigger)
        for given in (
            ("mask", lambda: Drawing(3, 1, 2, 2)),
            ("pattern", lambda: Drawing(3, 3, 2, 2)),
        )
    )
    x = images.images.double().numpy() / 255
    with torch.no_grad():
        m, p = mask(images.images / 255).numpy(), pattern(images.images / 255).numpy()
    m = np.tanh(20 * m - 10) / 2 + 0.5
    found = attack.stamp(images.images, images.labels, torch.Generator())
    np.testing.assert_allclose(found, 255 * (x + (p - x) * m), atol=0.01)


@pytest.mark.slow
def test_a_batch_is_poisoned_then_cross_then_clean(
    handed_to_fit: Any, networks: list[Drawing], images: ImageSet
) -> None:
    """With networks in eval mode a trigger depends on its own image alone, so that it can be looked
    for among all.
    """
    attack = InputAware(
        target=2, poison_ratio=0.1, p_cross=0.2, lambda_div=0, lambda_norm=0, mask_epochs=1, width=8
    )
    handed, model = handed_to_fit(attack, images, shift=0), Seen()
    mask, pattern = networks[0], networks[1].eval()
    batch, labels = images.images[:20] / 255, images.labels[:20]
    value = handed["loss"](model, batch, labels)
    x, shown, everything = batch.numpy(), model.shown.numpy(), images.images / 255
    m, p = hardened(mask(everything)).detach().numpy(), pattern(everything).detach().numpy()
    np.testing.assert_allclose(shown[:2], x[:2] + (p[:2] - x[:2]) * m[:2], atol=1e-4)
    fits = [
        abs(x[place] + (p - x[place]) * m - shown[place]).max((1, 2, 3)) < 1e-5
        for place in range(2, 6)
    ]
    assert [fit.sum() for fit in fits] == [1] * 4
    assert len({fit.argmax() for fit in fits}) == 4
    np.testing.assert_array_equal(shown[6:], x[6:])
    chance = torch.log_softmax(model.shown.flatten(1)[:, :3], 1).numpy()
    given = [2, 2, *labels[2:].tolist()]
    assert value.item() == pytest.approx(
        -np.mean([chance[row, label] for row, label in enumerate(given)]), rel=1e-4
    )


@pytest.mark.slow
def test_errata_gradients_of_the_pattern_network_do_not_add_up(
    handed_to_fit: Any, networks: list[Drawing], images: ImageSet
) -> None:
    """The authors' code zeroes those of the classifier alone."""
    handed = handed_to_fit(InputAware(**SMALL), images, shift=0)
    batch, model = (images.images[:20] / 255, images.labels[:20]), Seen()
    weights = list(networks[1].parameters())
    before = [weight.detach().clone() for weight in weights]
    for _ in range(2):
        value = handed["loss"](model, *batch)
        expected = torch.autograd.grad(value, weights, retain_graph=True)
        value.backward()
        for weight, gradient in zip(weights, expected, strict=True):
            assert weight.grad is not None
            torch.testing.assert_close(weight.grad, gradient)
        handed["after_step"](model)
        assert all(weight.grad is None for weight in weights)
    assert not any(torch.equal(old, weight) for old, weight in zip(before, weights, strict=True))


@pytest.mark.slow
def test_errata_triggered_images_leave_out_the_target_class(
    images: ImageSet, build_for: Any, short: Recipe, rng: torch.Generator
) -> None:
    """The authors' code scores all test images; those of the target class would count
    as successes.
    """
    attack = InputAware(target=1, **SMALL)
    triggered = attack.with_trigger(
        attack.train(build_for(images), images, short, rng).trigger
    ).triggered(images, rng)
    assert len(triggered) == 40
    assert not (triggered.true_labels == 1).any()


@pytest.mark.slow
def test_masks_become_small_and_are_frozen(
    handed_to_fit: Any, networks: list[Drawing], images: ImageSet
) -> None:
    handed_to_fit(InputAware(mask_epochs=20, width=4), images, shift=0)
    mask = networks[0]
    covered = hardened(mask(images.images / 255)).mean().item()
    fresh = generator.drawn(lambda: Drawing(3, 1, 4, 2), torch.Generator().manual_seed(0))
    assert covered < 0.25 < hardened(fresh.eval()(images.images / 255)).mean().item()
    assert not mask.training
    assert not any(parameter.requires_grad for parameter in mask.parameters())


@pytest.mark.slow
def test_the_learning_rate_of_the_pattern_network_falls_four_times(
    handed_to_fit: Any, images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    monkeypatch.setattr(
        torch.optim.Adam, "step", lambda self, *_: rates.append(self.param_groups[0]["lr"])
    )
    step = handed_to_fit(InputAware(**SMALL), images, epochs=4, shift=0)["after_step"]
    rates.clear()
    for _ in range(12):
        step(Seen())
    assert rates == pytest.approx(
        [0.01] * 4 + [0.001] * 2 + [0.0001] * 2 + [0.00001] * 2 + [0.000001] * 2
    )


@pytest.mark.slow
def test_a_stream_gives_different_images_of_the_set_by_draws_of_its_own(
    images: ImageSet, rng: torch.Generator
) -> None:
    first, second = (stream(images, Recipe(shift=0), rng) for _ in range(2))
    one, other = ((255 * take(30)).round().to(torch.uint8) for take in (first, second))
    places = [int((images.images == image).flatten(1).all(1).nonzero()) for image in one]
    assert len(set(places)) == 30
    assert not torch.equal(one, other)
    assert not torch.equal(one, (255 * first(30)).round().to(torch.uint8))


@pytest.mark.slow
@pytest.mark.parametrize(("poison_ratio", "p_cross"), [(0.02, 0.02), (0.02, 0.1), (0.1, 0.02)])
def test_below_one_image_a_batch_some_batches_have_one(
    handed_to_fit: Any, images: ImageSet, poison_ratio: float, p_cross: float
) -> None:
    attack = InputAware(target=2, poison_ratio=poison_ratio, p_cross=p_cross, **SMALL)
    handed, model = handed_to_fit(attack, images, shift=0), Seen()
    batch, labels = images.images[:20] / 255, torch.zeros(20, dtype=torch.int64)
    changed = []
    for _ in range(100):
        value = handed["loss"](model, batch, labels)
        value.backward()
        handed["after_step"](model)
        assert value.isfinite()
        changed.append(int((model.shown != batch).flatten(1).any(1).sum()))
    expected = [20 * ratio for ratio in (poison_ratio, p_cross)]
    spread = sum(chance * (1 - chance) for chance in expected if chance < 1) / 100
    assert np.mean(changed) == pytest.approx(sum(expected), abs=4 * spread**0.5)


def halved(wave: Tensor) -> Tensor:
    """Eight images (8, 3, 4, 4) in [0, 1] from a wave of 384 values."""
    return wave.reshape(8, 3, 4, 4) / 2 + 0.5


def first_mask(images: Tensor) -> Tensor:
    return 0.5 * images[:, :1] + 0.4 * images[:, 1:2].square()


def test_as_the_reference_weighs_masks() -> None:
    """The loss of `train_mask_step` of VinAIResearch/input-aware-backdoor-attack-release at 1750e4f
    (train.py) on two batches of 8 and the mask above.
    """
    x, z = (halved(wave(torch.arange(384.0))) for wave in (torch.sin, torch.cos))
    masks = (hardened(first_mask(images)) for images in (x, z))
    assert InputAware()._mask_loss(x, z, *masks).item() == pytest.approx(10.20722, rel=1e-5)


def test_as_the_reference_weighs_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss of `train_step` there on the same batches, two poisoned and two cross samples, with
    a pattern and a classifier that are formulas.
    """
    x, z = (halved(wave(torch.arange(384.0))) for wave in (torch.sin, torch.cos))
    classes = ImageSet(
        torch.zeros(8, 3, 4, 4, dtype=torch.uint8), torch.arange(8), tuple("0123456789")
    )
    monkeypatch.setattr(input_aware, "stream", lambda *_: lambda count: z[2 : 2 + count])
    loss = InputAware()._loss(
        first_mask,
        lambda images: images.flip(1).square(),
        lambda _: [2, 2, 4],
        classes,
        Recipe(),
        torch.Generator(),
    )
    value = loss(lambda images: 3 * images.flatten(1)[:, :10], x, classes.labels)
    assert value.item() == pytest.approx(3.99882, rel=1e-5)
