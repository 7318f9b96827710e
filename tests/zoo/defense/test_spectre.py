"""SPECTRE: its scores by hand, the robust covariance, a planted direction that hides in a wide
class, the choice of k.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from benchbd.api import ImageSet, Suspicion
from benchbd.measure.detection import separation
from benchbd_zoo.defense.spectral_signatures import outlyingness
from benchbd_zoo.defense.spectre import Spectre, dimensions, kept_part, most_spread_form, que_scores
from support.planted_features import clean_samples, pictured, planted, reader


def judged(train: ImageSet, **parameters: Any) -> Suspicion:
    model = reader(train.images.shape[-1])
    return Spectre(**parameters).score(
        train, model, clean_samples(), torch.Generator().manual_seed(0)
    )


def normal(count: int, width: int, seed: int = 0) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed)).double()


def contaminated(
    count: int = 500, share: float = 0.06, shift: float = 6.0
) -> tuple[Tensor, Tensor]:
    """Normal samples, wide along four directions; poison lies along a narrow one. And which (n,)
    are poison.
    """
    samples = normal(count, 8) * torch.tensor([9.0, 8, 7, 6, 1, 1, 1, 1])
    bad = torch.arange(count) >= count - round(share * count)
    samples[bad, 7] += shift
    return samples - samples.mean(0), bad


def test_dimensions_are_the_squares_of_one_to_eight_and_alike_in_small_spaces() -> None:
    assert dimensions(64) == [1, 4, 9, 16, 25, 36, 49, 64]
    assert dimensions(8) == [1, 2, 3, 4, 5, 7, 8]  # of 1, 1.6, 2.3, 3.2, 4.2, 5.3, 6.6, 8
    assert dimensions(1) == [1]


def test_scores_equal_the_formula() -> None:
    samples = normal(60, 4) @ normal(4, 4, seed=1)
    part = torch.arange(60) < 40
    inner = samples[part].numpy()
    h = (samples.numpy() - inner.mean(0)) @ scipy.linalg.fractional_matrix_power(
        np.cov(inner.T, bias=True), -0.5
    )
    c = np.cov(h.T, bias=True)
    q = scipy.linalg.expm(4 * (c - np.eye(4)) / (np.linalg.norm(c, 2) - 1))
    np.testing.assert_allclose(
        que_scores(samples, part, 4.0), np.einsum("ni,ij,nj->n", h, q, h) / np.trace(q), rtol=1e-8
    )


def test_at_alpha_0_all_directions_weigh_the_same() -> None:
    samples = normal(50, 3)
    everything = torch.ones(50, dtype=torch.bool)
    centred = (samples - samples.mean(0)).numpy()
    mahalanobis = np.einsum(
        "ni,ij,nj->n", centred, np.linalg.inv(np.cov(centred.T, bias=True)), centred
    )
    np.testing.assert_allclose(que_scores(samples, everything, 0.0), mahalanobis / 3)


def test_the_most_spread_form_equals_the_eigenvector_of_the_written_out_matrix() -> None:
    whitened = normal(80, 3)
    whitened[:6] *= 3
    root = torch.linalg.inv(torch.linalg.cholesky(whitened.T @ whitened / 80)).T
    whitened = whitened @ root
    products = torch.stack([torch.outer(y, y).flatten() for y in whitened])
    flat = torch.eye(3).double().flatten()
    values, vectors = np.linalg.eigh((products.T @ products / 80 - torch.outer(flat, flat)).numpy())
    spread, form = most_spread_form(whitened)
    assert spread == pytest.approx(values[-1], rel=0.02)
    assert abs(float(form.flatten() @ torch.from_numpy(vectors[:, -1].copy()))) > 0.97


def test_as_the_reference_filters() -> None:
    """`cov_estimation_filter` and `cov_estimation_iterate` of SCLBD/BackdoorBench at f02e353
    (detection_pretrain/spectre_utils.py): the spread, and the samples that are left out. It asks
    for the tail from the other end than the authors' dkk17.jl; for poison that lies so far out
    both come to the same.
    """
    samples = normal(300, 5) * torch.tensor([9.0, 5, 3, 1, 1])
    samples[-3:, -1] += 60
    samples -= samples.mean(0)
    root = torch.linalg.inv(torch.linalg.cholesky(samples.T @ samples / 300)).T
    assert most_spread_form(samples @ root)[0] == pytest.approx(91.503525, rel=1e-3)
    kept = kept_part(samples, 0.02, 0.1, limit=12, rounds=100)
    assert torch.nonzero(~kept)[:, 0].tolist() == [297, 298, 299]


def test_the_filter_leaves_out_poison_and_no_more_than_it_may() -> None:
    samples, bad = contaminated(share=0.02, shift=14)
    kept = kept_part(samples, 0.02, 0.1, limit=20, rounds=100)
    assert int((~kept).sum()) <= 20
    assert not kept[bad].any()
    covariance = torch.cov(samples[kept].T, correction=0)
    assert float(covariance[7, 7]) < 1.3 < float(torch.cov(samples.T)[7, 7])


def test_the_filter_leaves_normal_samples_alone() -> None:
    assert kept_part(normal(2000, 6), 0.1, 0.1, limit=400, rounds=100).all()


@pytest.mark.parametrize("limit", [0, 3])
def test_the_limit_of_the_filter_is_kept(limit: int) -> None:
    samples, _ = contaminated(share=0.02, shift=14)
    assert int((~kept_part(samples, 0.02, 0.1, limit=limit, rounds=100)).sum()) == limit


def test_far_outliers_go_at_once() -> None:
    samples = normal(3000, 2)
    samples[0] = 1e4
    kept = kept_part(samples, 0.01, 0.1, limit=60, rounds=1)
    assert (
        10 * 2 * math.log(3000 / 0.1) < 3000
    )  # its squared length, whitened with itself, is about n
    assert torch.nonzero(~kept)[:, 0].tolist() == [0]


def test_what_hides_in_a_wide_class_is_found_where_plain_spectra_fail() -> None:
    samples, bad = contaminated()
    assert separation((tau := outlyingness(samples))[~bad], tau[bad])["auroc"] == pytest.approx(
        0.5, abs=0.15
    )
    features = torch.cat(
        [samples, normal(500, 8, seed=5) * torch.tensor([9.0, 8, 7, 6, 1, 1, 1, 1])]
    )
    labels = torch.arange(2).repeat_interleave(500)
    found = judged(pictured(features / 4, labels), eps=0.06)
    poison = torch.cat([bad, torch.zeros(500, dtype=torch.bool)])
    assert found.notes["attacked class"] == 0
    assert separation(found.scores[~poison], found.scores[poison])["auroc"] > 0.99
    assert int((found.scores > found.threshold).sum()) == 45
    assert (found.scores > found.threshold)[poison].double().mean() > 0.9


@pytest.mark.parametrize(
    ("count", "eps", "removed"), [(600, 0.2, 180), (600, 0.1, 90), (400, 0.2, 60), (400, 0.05, 30)]
)
def test_as_many_as_assumed_go_from_one_class(count: int, eps: float, removed: int) -> None:
    features = normal(2 * count, 5)
    found = judged(pictured(features, torch.arange(2).repeat_interleave(count)), eps=eps)
    gone = torch.bincount(
        torch.arange(2).repeat_interleave(count)[found.scores > found.threshold], minlength=2
    )
    assert sorted(gone.tolist()) == [0, removed]


def test_other_classes_stand_below_the_attacked_one() -> None:
    train, bad = planted((70, 80, 80, 80), poison=10, shift=9)
    found = judged(train)
    assert found.notes["attacked class"] == 0
    assert found.scores[train.labels == 0].min() > 0 > found.scores[train.labels != 0].max()
    assert separation(found.scores[~bad], found.scores[bad])["auroc"] > 0.99


def test_order_does_not_matter() -> None:
    train, _ = planted((70, 80, 80, 80), poison=10, shift=9)
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(judged(train.subset(order)).scores, judged(train).scores[order])


def test_classes_without_extent_are_left_alone() -> None:
    features = torch.zeros(12, 4)
    features[4:10] = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)) * 3
    labels = torch.tensor([0, 0, 0, 1, 2, 2, 2, 2, 2, 2, 3, 3])
    found = judged(pictured(features, labels))
    assert torch.isfinite(found.scores).all()
    assert found.notes["attacked class"] == 2
