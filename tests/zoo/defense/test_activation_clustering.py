"""Activation Clustering: two planted clusters, its four rules by hand, and whole classes instead of
batches.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from benchbd.api import ImageSet, Suspicion
from benchbd.measure.detection import separation
from benchbd_zoo.defense.activation_clustering import (
    ActivationClustering,
    cluster_share,
    nearer_elsewhere,
)
from support.planted_features import clean_samples, pictured, planted, reader

RULES = ("smaller", "relative-size", "distance", "silhouette-scores")


def judged(train: ImageSet, seed: int = 0, **parameters: Any) -> Suspicion:
    width = train.images.shape[-1]
    rng = torch.Generator().manual_seed(seed)
    return ActivationClustering(**parameters).score(
        train, reader(width), clean_samples(width=width), rng
    )


def flagged(found: Suspicion) -> Tensor:
    return found.scores > found.threshold


@pytest.mark.slow
@pytest.mark.parametrize(("reduce", "dims"), [("PCA", 10), ("FastICA", 2)])
@pytest.mark.parametrize("rule", ["relative-size", "silhouette-scores"])
def test_a_planted_cluster_is_found_and_nothing_else(rule: str, reduce: str, dims: int) -> None:
    # noise alone splits near the middle; 20 of 80 is a share of 0.25. Independent components weigh
    # as much as that of
    # the poison, so of 80 samples only few of them can be told from noise
    train, bad = planted(shift=9)
    found = judged(train, cluster_analysis=rule, reduce=reduce, nb_dims=dims)
    assert torch.equal(flagged(found) & (train.labels == 0), bad)
    assert found.notes["share of the smaller cluster"]["0"] == pytest.approx(0.25)
    if rule == "silhouette-scores":
        assert torch.equal(flagged(found), bad)


def test_smaller_takes_the_smaller_cluster_of_every_class() -> None:
    train, bad = planted(shift=9)
    taken = flagged(judged(train))
    assert torch.equal(taken & (train.labels == 0), bad)
    for label in range(1, 4):
        share = float(taken[train.labels == label].double().mean())
        assert 0.2 < share < 0.5


def test_distance_takes_a_cluster_that_lies_with_another_class() -> None:
    train, bad = planted(shift=0)
    pixels = train.images.clone()
    pixels[bad, ..., 0] -= 48  # from the centre of class 0 ...
    pixels[bad, ..., 2] += 48  # ... to that of class 2
    found = judged(ImageSet(pixels, train.labels, train.class_names), cluster_analysis="distance")
    assert torch.equal(flagged(found), bad)


def test_as_the_reference_clusters_and_scores_the_silhouette() -> None:
    """`cleanser` of vtu81/backdoor-toolbox at 9d4d909 (cleansers_tool_box/activation_clustering.py)
    finds 20 outliers in class 0, none elsewhere, and there a silhouette of .539441.
    """
    train, _ = planted(shift=9)
    found = judged(train, cluster_analysis="silhouette-scores")
    assert torch.bincount(train.labels[flagged(found)], minlength=4).tolist() == [20, 0, 0, 0]
    assert float(found.scores.max()) == pytest.approx(0.539441, abs=1e-5)


def test_distance_by_hand() -> None:
    latent = torch.tensor([[0.0, 0], [0, 0], [0, 0], [3, 4]]).double()
    second = torch.tensor([False, False, False, True])
    others = [torch.tensor([3.0, 0]).double(), torch.tensor([9.0, 9]).double()]
    # own centre (0, 0): for the lone sample 5 - 4 = 1, for the three 0 - 3
    assert nearer_elsewhere(latent, second, torch.zeros(2).double(), others).tolist() == [
        -3,
        -3,
        -3,
        1,
    ]
    assert (nearer_elsewhere(latent, second, torch.zeros(2).double(), []) == 0).all()


def test_shares_by_hand() -> None:
    assert cluster_share(torch.tensor([True, False, False, False])).tolist() == [
        0.25,
        0.75,
        0.75,
        0.75,
    ]


@pytest.mark.parametrize(("threshold", "found"), [(0.25, False), (0.26, True)])
def test_a_share_at_the_threshold_is_not_below_it(threshold: float, found: bool) -> None:
    train, bad = planted(shift=9)
    result = judged(train, cluster_analysis="relative-size", size_threshold=threshold)
    assert bool(flagged(result)[bad].any()) is found


def test_a_class_of_one_blob_has_too_low_a_silhouette() -> None:
    train, _ = planted(shift=9)
    assert not flagged(
        judged(train, cluster_analysis="silhouette-scores", silhouette_threshold=0.95)
    ).any()


def test_classes_are_clustered_whole_whatever_batches_the_features_come_in() -> None:
    """Reference code clusters each batch of 128 or 256 samples; here the poison fills the last
    batch alone.
    """
    features = torch.randn(600, 8, generator=torch.Generator().manual_seed(3))
    features[500:, 0] += 12
    labels = torch.zeros(600, dtype=torch.int64)
    labels[0::100], labels[1::100] = 1, 2
    found = judged(pictured(features, labels), cluster_analysis="relative-size")
    poison = (torch.arange(600) >= 500) & (labels == 0)
    assert torch.equal(flagged(found) & (labels == 0), poison)
    assert found.notes["share of the smaller cluster"]["0"] == pytest.approx(98 / 588)


@pytest.mark.parametrize("rule", RULES)
def test_flags_belong_to_the_rows_that_they_index(rule: str) -> None:
    train, _ = planted(shift=9)
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(4))
    plain, turned = (
        judged(train, cluster_analysis=rule),
        judged(train.subset(order), cluster_analysis=rule),
    )
    inside = (train.labels == 0)[
        order
    ]  # of classes without structure, 2-means may find another split
    assert torch.allclose(turned.scores[inside], plain.scores[order][inside])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("reduce", ["PCA", "FastICA"])
def test_tiny_and_constant_classes_are_left_alone(rule: str, reduce: str) -> None:
    features = torch.zeros(8, 4)
    features[6, 0] = 5
    found = judged(
        pictured(features, torch.tensor([0, 0, 0, 0, 0, 1, 2, 2])),
        cluster_analysis=rule,
        reduce=reduce,
    )
    assert torch.isfinite(found.scores).all()
    assert not flagged(found)[:6].any()


def test_what_is_not_poisoned_ranks_below_what_is() -> None:
    train, bad = planted(shift=9)
    found = judged(train, cluster_analysis="silhouette-scores")
    assert separation(found.scores[~bad], found.scores[bad])["auroc"] == 1
