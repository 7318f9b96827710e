"""SentiNet: regions, fooled and avgconf by hand, the boundary on a known curve, and a planted
trigger found by Grad-CAM alone.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.polynomial import Polynomial
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from benchbd.api import CleanSet, ImageSet, Scorer
from benchbd.defense.case import Case
from benchbd.engine.classifier import Classifier
from benchbd.engine.hardware import default_precision, hardware
from benchbd.measure.detection import separation
from benchbd.testing import tiny_data
from benchbd_zoo.defense.parts.grad_cam import GradCAM
from benchbd_zoo.defense.sentinet import SentiNet, Transplants, boundary, distances, hottest
from support.planted_backdoor import NAMES, budget, lit, stamped
from support.tiny_networks import Network, Residual, classifier, random_images


@pytest.fixture(autouse=True)
def exact() -> Any:
    with default_precision("fp32"):
        yield


class Seen(nn.Module):
    """Maps (B, 5, 8, 8): the grey image inside of each quarter, and where it is all but white."""

    def forward(self, x: Tensor) -> Tensor:
        grey, where = x.mean(1, keepdim=True), torch.zeros(1, 4, 8, 8)
        for quarter in range(4):
            top, left = divmod(quarter, 2)
            where[:, quarter, 4 * top : 4 * top + 4, 4 * left : 4 * left + 4] = 1
        return torch.cat([grey * where, (grey - 0.9).relu()], 1)


class Quarters(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.maps = Seen()

    def forward(self, x: Tensor) -> Tensor:
        return self.maps(x).mean((2, 3))  # type: ignore[no-any-return]


def quarters(backdoor: float = 1e5) -> Classifier:
    """Its class is the brightest quarter; a white pixel anywhere is class 0 if there is
    a backdoor.
    """
    model = Classifier(Network(Quarters(), 5), (0.0,) * 3, (1.0,) * 3)
    with torch.no_grad():
        model.head.weight.copy_(torch.cat([400 * torch.eye(4), backdoor * torch.eye(4)[:, :1]], 1))
        model.head.bias.zero_()
    return model.eval()


def scorer(
    model: nn.Module | None = None, clean: CleanSet | None = None, **parameters: Any
) -> Scorer:
    return SentiNet(**parameters).fit(
        model or quarters(), clean or budget(), torch.Generator().manual_seed(0)
    )


def transplants(model: nn.Module, count: int = 6, **parameters: Any) -> Transplants:
    noise = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    return Transplants(model, lit(count, seed=1).images, noise, SentiNet(**parameters))


def test_the_region_is_the_hottest_share_without_what_is_cold() -> None:
    heat = torch.tensor(
        [
            [[0.1, 0.4], [0.3, 0.2]],
            [[0.0, 0.0], [0.7, 0.0]],
            [[0.0, 0.0], [0.0, 0.0]],
            [[1.0, 1.0], [1.0, 1.0]],
        ]
    )
    assert hottest(heat, 0.5).int().tolist() == [
        [[0, 1], [1, 0]],
        [[0, 0], [1, 0]],
        [[0, 0], [0, 0]],
        [[1, 1], [0, 0]],
    ]
    assert hottest(heat, 0.01).sum((1, 2)).tolist() == [1, 1, 0, 1]


def test_points_are_the_formula() -> None:
    """Image by image and overlay by overlay, in NumPy."""
    model, images = quarters(), torch.cat([lit(4).images, stamped(lit(4, seed=8).images)])
    judge = transplants(model, region=0.2)
    masks = hottest(judge.cam.heat(images / 255)[0], 0.2).numpy()
    overlays, noise = judge.overlays.numpy(), judge.noise.numpy()
    expected = []
    for image, mask in zip(images.numpy() / 255, masks, strict=True):
        given = int(model(torch.from_numpy(image[None]).float()).argmax())
        pasted = torch.from_numpy(
            np.array([image * mask + o * (1 - mask) for o in overlays])
        ).float()
        inert = torch.from_numpy(
            np.array([p * mask + o * (1 - mask) for p, o in zip(noise, overlays, strict=True)])
        ).float()
        confidence = model(inert).detach().softmax(1).max(1).values
        expected.append(
            [float(confidence.mean()), float((model(pasted).argmax(1) == given).float().mean())]
        )
    np.testing.assert_allclose(judge.points(images).numpy(), expected, rtol=1e-4)
    assert masks.sum((1, 2)).tolist()[:4] == [13] * 4 and len({tuple(p) for p in expected}) > 3


def looked_at(model: nn.Module, images: Tensor, row: int, column: int) -> tuple[Tensor, Tensor]:
    """Whether (B,) the region of each image holds that pixel, and the predicted classes (B,)."""
    heat, classes = GradCAM(model, images[:2]).heat(images / 255)
    return hottest(heat, 0.15)[:, row, column], classes


def test_errata_no_known_trigger_takes_the_place_of_what_grad_cam_shows() -> None:
    """The white pixel belongs to the region where the network looks at it, whoever put it there."""
    images = lit(12).images
    images[:, :, 1, 6] = 255
    found, classes = looked_at(quarters(), images, 1, 6)
    assert found.all() and classes.tolist() == [0] * 12
    found, classes = looked_at(quarters(backdoor=0.0), images, 1, 6)
    assert (
        found.tolist() == [label == 1 for label in classes.tolist()] and 0 < int(found.sum()) < 12
    )


def test_errata_what_is_pasted_is_that_region() -> None:
    images, model = lit(12).images, quarters(backdoor=0.0)
    images[:, :, 1, 6] = 255
    passed: list[Tensor] = []
    judge = transplants(model)
    judge.cam.model.register_forward_pre_hook(
        lambda module, inputs: passed.append(inputs[0].clone())
    )
    judge.points(images)
    _, inert, pasted = (batch.unflatten(0, (12, -1))[..., 1, 6].amin(2) == 1 for batch in passed)
    found, _ = looked_at(model, images, 1, 6)
    assert torch.equal(pasted, found[:, None].expand(12, 6)) and not inert.any()


def nearest(curve: Polynomial, x: float, y: float) -> float:
    """Distance of (x, y) from the curve over [0, 1], by a solver that starts in each fourth."""
    gaps = [
        minimize_scalar(
            lambda t: np.hypot(t - x, curve(t) - y), bounds=(start, start + 0.25), method="bounded"
        ).fun
        for start in (0, 0.25, 0.5, 0.75)
    ]
    return float(min(gaps))


def test_the_boundary_of_a_known_curve() -> None:
    """The highest of each interval lie on fooled = .9 - .8 (avgconf - .5)^2, as many lie on 0,
    which count for d alone.
    """
    middles = torch.tensor([0.11, 0.31, 0.51, 0.71, 0.91], dtype=torch.float64)
    top = torch.stack([middles, 0.9 - 0.8 * (middles - 0.5) ** 2], 1)
    low = torch.stack([middles, torch.zeros(5, dtype=torch.float64)], 1)
    curve, d = boundary(torch.cat([low, top]), 0.02)
    np.testing.assert_allclose(curve.convert().coef, [0.7, 0.8, -0.8], atol=1e-9)
    below = [nearest(curve, float(x), 0.0) for x in middles]
    assert d == pytest.approx(sum(below) / 10, abs=1e-4)


def test_as_the_reference_fits_the_boundary() -> None:
    """`SentiNet.detect` of vtu81/backdoor-toolbox at 9d4d909 (other_defenses_tool_box/sentinet.py):
    its curve, and its d, which is a mean over the 373 of 400 points below the curve.
    """
    steps = torch.arange(400, dtype=torch.float64)
    confidence = 0.3 + 0.6 * ((steps * 37) % 400) / 400
    fooled = (steps * 1.3).sin().abs() * (0.2 + 0.5 * confidence)
    curve, d = boundary(torch.stack([confidence, fooled], 1), 0.02)
    np.testing.assert_allclose(curve.convert().coef, [0.200438, 0.496786, -0.000771], atol=1e-5)
    assert d * 400 / 373 == pytest.approx(0.173620, abs=1e-5)


def test_clean_inputs_above_the_curve_are_no_part_of_d() -> None:
    """No quadratic goes through the five: some lie above it, some below."""
    points = torch.tensor(
        [[0.21, 0.0], [0.41, 1.0], [0.51, 0.0], [0.61, 1.0], [0.81, 0.0]], dtype=torch.float64
    )
    curve, d = boundary(points, 0.02)
    residual = points[:, 1].numpy() - curve(points[:, 0].numpy())
    assert (residual > 0.1).any() and (residual < -0.1).any()
    expected = [nearest(curve, x, y) if y < curve(x) else 0.0 for x, y in points.tolist()]
    assert d == pytest.approx(sum(expected) / 5, abs=1e-3)


def test_a_confidence_of_one_belongs_to_the_last_interval() -> None:
    assert boundary(torch.tensor([[0.99, 0.1], [1.0, 0.3]], dtype=torch.float64), 0.02)[
        0
    ].convert().coef.tolist() == [0.3]


def test_the_score_is_the_distance_from_the_boundary() -> None:
    held = ImageSet(
        torch.cat([lit(20).images, stamped(lit(20, seed=6).images)]), budget().train.labels, NAMES
    )
    rng, images = (
        torch.Generator().manual_seed(0),
        torch.cat([lit(6).images, stamped(lit(6).images)]),
    )
    overlays = held.images[torch.randperm(40, generator=rng)]
    judge = Transplants(quarters(), overlays, torch.rand(overlays.shape, generator=rng), SentiNet())
    curve, d = boundary(judge.points(held.images), 0.02)
    assert d > 0.01
    torch.testing.assert_close(
        scorer(clean=CleanSet(held, held)).score(images), distances(curve, judge.points(images)) - d
    )


@pytest.mark.parametrize(
    ("xs", "degree"), [([0.5], 0), ([0.5, 0.501], 0), ([0.2, 0.5], 1), ([0.2, 0.5, 1.0], 2)]
)
def test_fewer_intervals_have_a_curve_of_lower_degree(xs: list[float], degree: int) -> None:
    points = torch.tensor([[x, x / 2] for x in xs], dtype=torch.float64)
    curve, d = boundary(points, 0.02)
    assert curve.degree() == degree
    assert 0 <= d < 0.01 and float(curve(xs[-1])) == pytest.approx(xs[-1] / 2, abs=0.02)


def test_distances_from_a_curve() -> None:
    """Above is positive."""
    curve = Polynomial([0.2, 1.5, -1.2])
    points = torch.rand(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = [math.copysign(nearest(curve, x, y), y - curve(x)) for x, y in points.tolist()]
    assert distances(curve, points).tolist() == pytest.approx(expected, abs=5e-4)


def test_a_planted_trigger_takes_its_class_along() -> None:
    good, bad = lit(60).images, stamped(lit(60, seed=5).images)
    judge = scorer()
    assert separation(judge.score(good), judge.score(bad))["auroc"] == 1
    healthy = scorer(quarters(backdoor=0.0))
    found = separation(healthy.score(good), healthy.score(bad))["auroc"]
    assert found is not None and 0.2 < found < 0.8


def test_the_paper_s_boundary_turns_triggers_away() -> None:
    judge = scorer(points=20)
    limit = SentiNet(T=0.0).threshold(judge.score(budget().validation.images))
    assert limit == 0
    assert bool((judge.score(stamped(lit(30).images)) > limit).all())
    assert float((judge.score(lit(30).images) > limit).double().mean()) < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("T", [0.0, 0.3])
def test_a_threshold_that_is_set_is_kept(T: float) -> None:
    outcome = SentiNet(T=T, n=10).respond(
        Case(
            tiny_data.attack_result(),
            hardware("cpu", "fp32"),
            "sentinet",
            tiny_data.TINY_CLEAN_BUDGET,
        )
    )
    assert outcome.detection is not None and outcome.detection["threshold"] == T


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_few_clean_images_do(count: int) -> None:
    few = CleanSet(lit(40).subset(torch.arange(count)), lit(40, seed=2).subset(torch.arange(1)))
    scores = scorer(clean=few).score(lit(9).images)
    assert scores.shape == (9,) and bool(scores.isfinite().all())


def test_the_curve_is_fitted_to_other_images_where_there_are_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[Transplants, Tensor]] = []
    points = Transplants.points

    def noted(self: Transplants, images: Tensor) -> Tensor:
        seen.append((self, images))
        return points(self, images)

    monkeypatch.setattr(Transplants, "points", noted)
    grey = torch.arange(40, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 8, 8).contiguous()
    images = ImageSet(grey, budget().train.labels, NAMES)
    scorer(clean=CleanSet(images, images), n=10, points=30)
    ((judge, fitted),) = seen
    overlays = (judge.overlays[:, 0, 0, 0] * 255).round().int().tolist()
    assert len(overlays) == 10 and sorted(fitted[:, 0, 0, 0].tolist() + overlays) == list(range(40))


def test_scores_depend_on_their_input_alone() -> None:
    images, judge = torch.cat([lit(10).images, stamped(lit(11).images)]), scorer(n=9)
    whole = judge.score(images)
    assert whole.shape == (21,) and len(whole.unique()) > 5
    torch.testing.assert_close(
        torch.cat([judge.score(part) for part in images.split(4)]), whole, atol=1e-5, rtol=0
    )
    torch.testing.assert_close(judge.score(images.flip(0)).flip(0), whole, atol=1e-5, rtol=0)
    torch.testing.assert_close(scorer(n=9, at_once=4).score(images), whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("n", "at_once", "largest"), [(40, 100, 80), (40, 16, 16), (10, 1024, 1000)]
)
def test_passes_are_large_and_bounded(n: int, at_once: int, largest: int) -> None:
    sizes: list[int] = []
    judge = transplants(quarters(), n, at_once=at_once)
    judge.cam.model.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    judge.points(lit(100).images)
    assert (max(sizes), sum(sizes)) == (
        largest if largest > 100 else max(largest, min(at_once, 100)),
        100 * (1 + 2 * n),
    )


def test_the_model_handed_in_stays() -> None:
    model = classifier(Residual())
    before = copy.deepcopy(model.state_dict())
    SentiNet(n=5).fit(model, CleanSet(random_images(8), random_images(8)), torch.Generator()).score(
        random_images(4).images
    )
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(
        parameter.requires_grad and parameter.grad is None for parameter in model.parameters()
    )
