"""Beatrix: Gram matrices, bands and deviations by hand, where features come from, and a planted
correlation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchbd.api import CleanSet, ImageSet, features
from benchbd.engine.classifier import Classifier
from benchbd.engine.hardware import default_precision
from benchbd.measure.detection import separation
from benchbd_zoo.defense.beatrix import Beatrix, Deviation, Latent, band, outside, triangle
from benchbd_zoo.defense.beatrix_filter import BeatrixFilter
from support.planted_backdoor import lit, stamped
from support.planted_features import UNIT, clean_samples, pictured, planted, reader
from support.tiny_networks import Network, PreAct, classifier, random_images


@pytest.fixture(autouse=True)
def exact() -> Any:
    with default_precision("fp32"):
        yield


def scorer(model: nn.Module, clean: CleanSet, **parameters: Any) -> Deviation:
    found = Beatrix(**parameters).fit(model, clean, torch.Generator().manual_seed(0))
    assert isinstance(found, Deviation)
    return found


@pytest.mark.parametrize("p", [1, 2, 3, 8])
def test_features_are_raised_before_the_product(p: int) -> None:
    """Errata: the Gram matrix of the p-th powers, not of the features themselves."""
    v = np.random.default_rng(0).normal(size=(2, 3, 4))
    expected = np.array(
        [[_entry(v[b], i, j, p) for i in range(3) for j in range(i, 3)] for b in range(2)]
    )
    np.testing.assert_allclose(triangle(torch.from_numpy(v), p).numpy(), expected, rtol=1e-10)
    if p > 1:
        without = triangle(torch.from_numpy(v), 1).sign() * triangle(
            torch.from_numpy(v), 1
        ).abs() ** (1 / p)
        assert not np.allclose(without.numpy(), expected)


def _entry(v: Any, i: int, j: int, p: int) -> float:
    product = sum(a**p * b**p for a, b in zip(v[i], v[j], strict=True))
    return float(np.sign(product) * abs(product) ** (1 / p))


def test_the_band_by_hand() -> None:
    lower, upper = band(torch.tensor([[1.0], [2.0], [3.0], [7.0], [100.0]]), k=2.0)
    assert (lower.tolist(), upper.tolist()) == (
        [-1.0],
        [7.0],
    )  # median 3, deviations 2 1 0 4 97, their median 2


def test_what_lies_outside_by_hand() -> None:
    entries = torch.tensor([[1.0, 5.0], [3.0, 12.0]])
    found = outside(entries, torch.tensor([2.0, 4.0]), torch.tensor([4.0, 8.0]))
    torch.testing.assert_close(found, torch.tensor([0.5, 0.5]), rtol=1e-4, atol=0)


def test_the_score_is_the_formula() -> None:
    """Of a network with a single stage, whose features are the pixels."""
    model, clean, images = reader(12), clean_samples(), planted(poison=0, seed=4)[0].images[:9]
    found = scorer(model, clean, powers=3, k=1.0, per_class=50).score(images)
    x, held = (
        features(model, images).double().numpy(),
        features(model, clean.train.images).double().numpy(),
    )
    classes = model(images / 255).argmax(1).numpy()
    expected = np.zeros(9)
    for n, label in enumerate(classes):
        for p in (1, 2, 3):
            own = _triangles(held[clean.train.labels.numpy() == label], p)
            middle = np.sort(own, 0)[(len(own) - 1) // 2]
            spread = np.sort(abs(own - middle), 0)[(len(own) - 1) // 2]
            g = _triangles(x[n : n + 1], p)[0]
            low, high = middle - spread, middle + spread
            expected[n] += (
                np.maximum(low - g, 0) / abs(low + 1e-6)
                + np.maximum(g - high, 0) / abs(high + 1e-6)
            ).sum()
    np.testing.assert_allclose(found.numpy(), expected / (78 / 2 * 3), rtol=1e-3)


def _triangles(v: Any, p: int) -> Any:
    product = v[:, :, None] ** p * v[:, None, :] ** p
    return (product ** (1 / p))[:, *np.triu_indices(v.shape[1])]


class Stages(nn.Module):
    """Maps of 6x6, 3x3 and 2x2; the last overwrites what it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = (
            nn.Conv2d(3, 4, 3, 1, 1),
            nn.Conv2d(4, 5, 3, 2, 1),
            nn.Conv2d(5, 6, 3, 2, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.three(self.two(self.one(x)).relu_()).relu().mean((2, 3))  # type: ignore[no-any-return]


def test_features_enter_the_last_stage() -> None:
    model, images = classifier(Stages()), random_images(4).images
    latent = Latent(model, images)
    found, classes = latent.seen(images)
    body = model.network.body
    expected = body.two(body.one((images / 255 - model.mean) / model.std)).flatten(2)
    torch.testing.assert_close(found, expected.detach())
    assert torch.equal(classes, model(images / 255).argmax(1))


def test_without_stages_the_penultimate_features_are_taken() -> None:
    model, images = classifier(PreAct()), random_images(4).images
    found, classes = Latent(model, images).seen(images)
    torch.testing.assert_close(found[:, :, 0], features(model, images))
    assert torch.equal(classes, model(images / 255).argmax(1))


class Halved(nn.Module):
    """Two stages: the images themselves, and their halves; features (N, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.all, self.halved = nn.Identity(), nn.AvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.halved(self.all(x)).mean((2, 3))  # type: ignore[no-any-return]


def test_as_the_reference_measures_deviations() -> None:
    """`Feature_Correlations.get_deviations_` of wanlunsec/Beatrix at 685827e
    (defenses/Beatrix/Beatrix.py), whose features are the normalised pixels. It divides by half of
    all 9 entries of a Gram matrix; of these the triangle has 6.
    """
    model = Classifier(Network(Halved(), 3), (0.4,) * 3, (0.2,) * 3).eval()
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(torch.eye(4)[0])
    clean = lit(12)
    clean = ImageSet(clean.images, torch.zeros(12, dtype=torch.int64), clean.class_names)
    images = torch.cat([lit(3, seed=1).images, stamped(lit(2, seed=5).images), 255 - lit(1).images])
    found = scorer(model, CleanSet(clean, clean), k=10.0, powers=8).score(images)
    expected = torch.tensor([0, 0, 0, 0.313610, 0.317938, 1.410606])
    torch.testing.assert_close(found * 6 / 9, expected, rtol=1e-4, atol=1e-6)


def test_planted_poison_deviates_and_clean_samples_of_the_class_do_not() -> None:
    train, bad = planted(poison=20, shift=9)
    model = _told_by_label(train.images.shape[-1])
    found = BeatrixFilter(k=4.0).score(
        train, model, clean_samples(), torch.Generator().manual_seed(0)
    )
    assert separation(found.scores[~bad], found.scores[bad])["auroc"] > 0.95  # type: ignore[operator]
    healthy, none = planted(poison=0, seed=3)
    alarms = BeatrixFilter(k=4.0).score(
        healthy, model, clean_samples(), torch.Generator().manual_seed(0)
    )
    assert not none.any() and float((alarms.scores > alarms.threshold).double().mean()) < 0.2


def _told_by_label(width: int) -> nn.Module:
    """Predicts the class by its feature; the last feature is that of the trigger and
    means class 0.
    """
    model = reader(width)
    with torch.no_grad():
        model.head.weight.zero_()[:, :4] = torch.eye(4)
        model.head.weight[0, -1] = 1
        model.head.bias.copy_(torch.tensor([-128 / 255 - 2 * UNIT / 255, 0, 0, 0]))
    return model


def test_features_far_beyond_clean_ones_still_give_numbers() -> None:
    clean = clean_samples()
    dark = CleanSet(
        *(
            type(part)(part.images // 200, part.labels, part.class_names)
            for part in (clean.train, clean.validation)
        )
    )
    wild = pictured(torch.full((3, 12), 100.0), torch.zeros(3, dtype=torch.int64))
    assert torch.isfinite(scorer(reader(12), dark).score(wild.images)).all()


def test_a_class_without_clean_images_is_judged_by_all() -> None:
    clean = clean_samples()
    some = CleanSet(
        clean.train.subset(torch.nonzero(clean.train.labels != 2)[:, 0]), clean.validation
    )
    assert torch.isfinite(scorer(_told_by_label(12), some).score(clean.validation.images)).all()


def test_scores_depend_on_their_input_alone() -> None:
    judge, images = (
        scorer(classifier(Stages()), CleanSet(random_images(40), random_images(9))),
        random_images(21, seed=3).images,
    )
    whole = judge.score(images)
    judge.latent.at_once = 5
    torch.testing.assert_close(judge.score(images), whole, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(judge.score(images.flip(0)).flip(0), whole, rtol=1e-3, atol=1e-6)
