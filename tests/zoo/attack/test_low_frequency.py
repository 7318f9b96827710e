"""LF: the low-pass, DeepFool on a linear network, when the search stops, and what is added."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchbd.api import NotApplicable
from benchbd.data.images import ImageSet
from benchbd_zoo.attack import low_frequency
from benchbd_zoo.attack.low_frequency import LowFrequency, deepfool, low_pass

Array = np.ndarray[Any, Any]


class Linear(nn.Module):
    """Logits (N, 3) that are linear in the pixels."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight.T + self.bias


def brighter(threshold: float) -> Linear:
    """Class 1 where the mean of an image of 64 pixels exceeds the threshold, else class 0."""
    return Linear(
        torch.stack([torch.zeros(64), torch.full((64,), 1 / 64)]), torch.tensor([0.0, -threshold])
    )


def smoothed(pattern: Array, sigma: int) -> Array:
    """The low-pass of one channel, tap by tap; tap number j of n reads (n - 1) // 2 pixels before
    it.
    """
    count = 5 * sigma
    weights = np.array([np.exp(-(((j - (count - 1) / 2) / sigma) ** 2) / 2) for j in range(count)])
    weights /= weights.sum()
    for axis in (0, 1):
        result = np.zeros_like(pattern)
        moved, source = np.moveaxis(result, axis, 0), np.moveaxis(pattern, axis, 0)
        for place in range(len(source)):
            for j in range(count):
                if 0 <= place + j - (count - 1) // 2 < len(source):
                    moved[place] += weights[j] * source[place + j - (count - 1) // 2]
        pattern = result
    return pattern


@pytest.mark.parametrize(
    ("shape", "sigma"), [((32, 32), 6), ((8, 8), 6), ((12, 20), 2), ((40, 9), 1)]
)
def test_the_low_pass_is_a_separable_gaussian(
    shape: tuple[int, int], sigma: int, rng: torch.Generator
) -> None:
    pattern = torch.randn(2, *shape, generator=rng)
    expected = np.stack([smoothed(channel, sigma) for channel in pattern.double().numpy()])
    np.testing.assert_allclose(low_pass(pattern, sigma), expected, atol=1e-6)


def test_deepfool_on_a_linear_network_is_the_projection_on_the_boundary(
    rng: torch.Generator,
) -> None:
    model = Linear(torch.randn(3, 48, generator=rng), torch.tensor([0.5, -1000, 0]))
    images = torch.rand(20, 3, 4, 4, generator=rng)
    first = model(images).argmax(1)
    start = images[first == 0]
    change, reached = deepfool(model, start, 2, 0.02, 200)
    weight = (model.weight[2] - model.weight[0]).detach().double().numpy()
    gap = start.flatten(1).double().numpy() @ weight + float(
        (model.bias[2] - model.bias[0]).detach()
    )
    expected = 1.02 * np.abs(gap)[:, None] / (weight @ weight) * weight
    assert len(start) > 1
    np.testing.assert_allclose(change.flatten(1), expected, rtol=1e-4, atol=1e-6)
    assert reached.all()


def test_deepfool_gives_up_and_says_so() -> None:
    blind = Linear(torch.zeros(3, 48), torch.tensor([1.0, 0, 0]))
    change, reached = deepfool(blind, torch.rand(4, 3, 4, 4), 1, 0.02, 5)
    assert not change.any()
    assert not reached.any()


def test_images_of_the_target_need_no_change() -> None:
    model = Linear(torch.zeros(3, 48), torch.tensor([0.0, 1, 0]))
    change, reached = deepfool(model, torch.rand(4, 3, 4, 4), 1, 0.02, 5)
    assert not change.any()
    assert reached.all()


def test_the_pattern_moves_a_network_to_the_target(rng: torch.Generator) -> None:
    """Images of mean 0.45 to 0.49 are dark; a smooth pattern of range 0.2 makes nearly all of them
    bright.
    """
    images = torch.linspace(0.45, 0.49, 20)[:, None, None, None].expand(-1, 1, 8, 8).contiguous()
    model = brighter(0.5)
    pattern = LowFrequency(target=1, sigma=24)._find(model, images, rng)
    assert (float(pattern.min()), float(pattern.max())) == pytest.approx((0, 0.2))
    fooled = (images + pattern).mean((1, 2, 3)) > 0.5
    assert fooled.double().mean() >= 0.8
    spectrum = np.abs(np.fft.fft2(pattern[0].double().numpy()))
    assert spectrum[2:7, 2:7].sum() < 0.02 * spectrum.sum()


@pytest.mark.parametrize(("fooling_rate", "passes"), [(0.8, 9), (0.2, 3), (1.0, 11)])
def test_errata_it_stops_at_eighty_percent_fooled_not_at_twenty(
    monkeypatch: pytest.MonkeyPatch, rng: torch.Generator, fooling_rate: float, passes: int
) -> None:
    """Each pass brightens by 0.01 and fools one more of ten images, from the second on."""
    images = (
        (0.5 - 0.01 * torch.arange(1, 11) - 0.005)[:, None, None, None]
        .expand(-1, 1, 8, 8)
        .contiguous()
    )
    seen: list[Tensor] = []

    def brighten(
        self: LowFrequency, surrogate: nn.Module, images: Tensor, clean: Tensor, pattern: Tensor
    ) -> Tensor:
        seen.append(pattern + 0.01)
        return seen[-1]

    monkeypatch.setattr(LowFrequency, "_improve", brighten)
    pattern = LowFrequency(fooling_rate=fooling_rate)._find(brighter(0.5), images, rng)
    assert len(seen) == passes
    assert torch.equal(pattern, seen[-1])
    assert LowFrequency().fooling_rate == 0.8


def test_the_best_pattern_is_kept(monkeypatch: pytest.MonkeyPatch, rng: torch.Generator) -> None:
    images = torch.full((10, 1, 8, 8), 0.45)
    steps = iter([0.02, 0.08, 0.01, 0.0])
    monkeypatch.setattr(LowFrequency, "_improve", lambda *_: torch.full((1, 8, 8), next(steps)))
    half = torch.cat([images[:5], images[:5] - 0.2])
    assert float(
        LowFrequency(max_iter_uni=4)._find(brighter(0.5), half, rng).mean()
    ) == pytest.approx(0.08)


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 8, 8), (3, 12, 20), (3, 224, 224)])
def test_errata_the_pattern_is_added_as_it_is_stored(
    images_of: Any, rng: torch.Generator, shape: tuple[int, int, int]
) -> None:
    """No offset of half of the range: where the pattern is zero the image stays as it is."""
    images = images_of(*shape, count=4)
    pattern = (torch.rand(shape, generator=rng) - 0.5) * (torch.rand(shape, generator=rng) < 0.5)
    attack = LowFrequency().with_trigger({"pattern": pattern})
    stamped = attack.apply(attack.stamp, images.images, images.labels, rng).numpy()
    expected = (images.images.numpy() + 255 * pattern.double().numpy()).clip(0, 255)
    clear = abs(expected % 1 - 0.5) > 1e-3
    np.testing.assert_array_equal(stamped[clear], np.rint(expected)[clear])
    zero = np.broadcast_to(pattern.numpy() == 0, stamped.shape)
    np.testing.assert_array_equal(stamped[zero], images.images.numpy()[zero])


def test_what_cannot_be_moved_does_not_apply(
    monkeypatch: pytest.MonkeyPatch, prepared: Any, images: ImageSet
) -> None:
    blind = Linear(torch.zeros(3, 3 * 16 * 16), torch.tensor([0.0, 1, 0]))
    monkeypatch.setattr(low_frequency, "clean_model", lambda *_: blind)
    with pytest.raises(NotApplicable, match="no image drawn could be moved towards the target"):
        prepared(LowFrequency(max_iter_df=3, max_iter_uni=2), images)


def test_all_to_all_gives_every_class_the_next(images: ImageSet, rng: torch.Generator) -> None:
    pattern = {"pattern": torch.full(images.image_shape, 0.1)}
    poisoned = LowFrequency(label_mode="all_to_all").with_trigger(pattern).poison(images, rng)
    assert poisoned.labels.equal(torch.tensor([1, 2, 0])[images.labels[poisoned.indices]])


class Curved(nn.Module):
    """Four logits of an image of 3x32x32 by waves, so that DeepFool needs several steps."""

    def forward(self, images: Tensor) -> Tensor:
        inner = torch.sin(torch.arange(4 * 3072.0) / 7).reshape(4, 3072) / 50
        outer = torch.cos(torch.arange(16.0) * 1.3).reshape(4, 4)
        return (images.flatten(1) @ inner.T).tanh() @ outer.T


def test_as_the_reference_moves_an_image(counted: Any) -> None:
    """`tar_deepfool` of SCLBD/BackdoorBench at f02e353 (resource/lowFrequency/deepfool.py): seven
    steps to class 0; row 10 of green, and the length.
    """
    change, reached = deepfool(Curved(), counted(1, 3, 32, 32) / 255, 0, 0.02, 200)
    reference = [-0.0046096, -0.0049319, -0.0051539, -0.0052709, -0.0052802]
    assert reached.tolist() == [True]
    np.testing.assert_allclose(change[0, 1, 10, :5], reference, atol=1e-6)
    assert change.norm().item() == pytest.approx(0.207492, rel=1e-4)


def test_as_the_reference_improves_a_pattern(counted: Any) -> None:
    """The turn of `universal_perturbation` there: `gauss_smooth` of what DeepFool adds, once more
    of the sum, and `normalization`; row 10 of green.
    """
    images = counted(1, 3, 32, 32) / 255
    pattern = (0.1 + 0.1 * torch.cos(torch.arange(3072.0) / 50)).reshape(3, 32, 32)
    clean = Curved()(images).argmax(1)
    found = LowFrequency()._improve(Curved(), images, clean, pattern)
    reference = [0.0851364, 0.1004836, 0.1150042, 0.1283668, 0.140328, 0.1507425]
    np.testing.assert_allclose(found[1, 10, :6], reference, atol=1e-6)
