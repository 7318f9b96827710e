"""Spectral Signatures: the direction by hand, a planted one, the number removed, and centring."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from benchbd.api import ImageSet, Suspicion, features
from benchbd.measure.detection import separation
from benchbd_zoo.defense.spectral_signatures import SpectralSignatures, outlyingness
from support.planted_features import clean_samples, pictured, planted, reader


def judged(train: ImageSet, **parameters: Any) -> Suspicion:
    model = reader(train.images.shape[-1])
    return SpectralSignatures(**parameters).score(
        train, model, clean_samples(), torch.Generator().manual_seed(0)
    )


def test_scores_equal_the_singular_value_decomposition() -> None:
    latent = (
        np.random.default_rng(0).normal(size=(40, 7)) @ np.random.default_rng(1).normal(size=(7, 7))
        + 5
    )
    centred = latent - latent.mean(0)
    v = np.linalg.svd(centred)[2][0]
    np.testing.assert_allclose(outlyingness(torch.from_numpy(latent)), (centred @ v) ** 2)
    np.testing.assert_allclose(
        outlyingness(torch.from_numpy(latent), "uncentred"), (latent @ v) ** 2
    )


def test_as_the_reference_projects() -> None:
    """The values of `cleanser` of vtu81/backdoor-toolbox at 9d4d909
    (cleansers_tool_box/spectral_signature.py) for the first samples of class 0.
    """
    train, _ = planted(shift=9)
    latent = features(reader(12), train.images)[train.labels == 0].double()
    expected = [0.006036, 0.025228, 0.002984, 0.095419, 0.000586, 0.129291]
    np.testing.assert_allclose(outlyingness(latent)[:6].numpy(), expected, atol=2e-6)


def test_a_planted_direction_goes_first() -> None:
    train, bad = planted((70, 80, 80, 80), poison=10, shift=9)
    found = judged(train, eps=0.1)  # 1.5 * 0.1 of 80 are 12, and 10 are poison
    inside = train.labels == 0
    assert separation(found.scores[inside & ~bad], found.scores[bad])["auroc"] == 1
    assert ((found.scores > found.threshold) & inside).sum() == 12
    assert (found.scores > found.threshold)[bad].all()


@pytest.mark.parametrize(("eps", "removed"), [(0.0, 0), (0.1, 12), (0.25, 30), (0.5, 60)])
def test_as_many_as_assumed_go_from_every_class(eps: float, removed: int) -> None:
    train, _ = planted()
    found = judged(train, eps=eps)
    gone = torch.bincount(train.labels[found.scores > found.threshold], minlength=4)
    assert gone.tolist() == [removed] * 4


def test_the_truth_changes_no_number() -> None:
    """Twice the poison, the same number removed: the share is assumed."""
    counts = [int((judged(planted(poison=poison)[0]).scores > 0.85).sum()) for poison in (20, 40)]
    assert counts == [48, 51]


def test_projecting_without_centring_misses_what_lies_on_the_near_side() -> None:
    """The class lies far out along v; its poison lies between it and the origin."""
    latent = torch.randn(100, 5, generator=torch.Generator().manual_seed(0)).double()
    latent[:, 0] += 30
    latent[90:, 0] -= 15
    bad = torch.arange(100) >= 90
    centred, legacy = outlyingness(latent), outlyingness(latent, "uncentred")
    assert separation(centred[~bad], centred[bad])["auroc"] == 1
    assert separation(legacy[~bad], legacy[bad])["auroc"] == 0


def test_order_does_not_matter() -> None:
    train, _ = planted()
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(1))
    assert torch.equal(judged(train.subset(order)).scores, judged(train).scores[order])


def test_equal_samples_share_their_place() -> None:
    features = torch.zeros(6, 4)
    features[5] = 3
    found = judged(pictured(features, torch.tensor([0, 0, 0, 1, 2, 2])))
    assert found.scores[:3].tolist() == pytest.approx([0.5] * 3)
    assert torch.isfinite(found.scores).all()
