"""The latent space of a backdoored model: penultimate features of the training set,
class by class.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from benchbd.api import ImageSet, features, global_random_state


def by_class(model: nn.Module, train: ImageSet) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Label, places (n,) and features (n, D) in double precision, on the CPU, of every class that
    has a sample.
    """
    latent, labels = features(model, train.images), train.labels.cpu()
    for label in range(train.num_classes):
        places = torch.nonzero(labels == label)[:, 0]
        if len(places):
            yield label, places, latent[places].double()


def principal(centred: Tensor, count: int) -> Tensor:
    """The right singular vectors (D, k) of `centred` (n, D), largest first; at most `count`, none
    of a vanishing value.
    """
    energy, directions = torch.linalg.eigh(centred.T @ centred)
    kept = int((energy > 1e-10 * energy[-1].clamp(min=1e-30)).sum())
    flipped: Tensor = directions.flip(1)
    return flipped[:, : min(count, kept)]


def rank_shares(scores: Tensor) -> Tensor:
    """Where each of `scores` (n,) stands among them, from 0 (lowest) to 1; equal ones share their
    place.

    The m highest of n that differ are those above 1 - m / n, m rounded to a whole number.
    """
    from scipy.stats import rankdata

    return (torch.from_numpy(rankdata(scores.numpy())) - 0.5) / max(1, len(scores))


@contextmanager
def library(seed: int) -> Iterator[None]:
    """For calls of scikit-learn: what it, or importing it, draws is put back, and it may stop
    before it converges.
    """
    with global_random_state(seed), warnings.catch_warnings():
        from sklearn.exceptions import ConvergenceWarning

        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def two_means(points: Tensor, seed: int) -> Tensor:
    """The cluster (n,) bool of each of `points` (n, D) by 2-means, the best of ten starts; all
    False where nothing differs.
    """
    if len(points) < 2 or not bool((points != points[0]).any()):
        return torch.zeros(len(points), dtype=torch.bool)
    with library(seed):  # it warns of points that stand on one another
        from sklearn.cluster import KMeans

        clusters = KMeans(2, n_init=10, random_state=seed % 2**32).fit_predict(points.numpy())
    return torch.from_numpy(clusters).bool()
