"""SCAn (Tang, Wang, Tang and Zhang, "Demon in the Variant", USENIX Security 2021, 1908.00686).

Features are r = mu_class + e, with mu ~ N(0, S_mu) and e ~ N(0, S_e) for every class alike. A class
that was poisoned is two such groups.

    1. S_mu and S_e by EM on clean samples, until both change by less than 1e-5 in Frobenius norm,
       at most 100 rounds
    2. every class of the training set is split in two groups with means mu_1, mu_2 and the shared
       S_e
    3. J = mean over the class of
           (r - mu)^T S_e^-1 (r - mu) - (r - mu_g)^T S_e^-1 (r - mu_g)
       with g the group of r and mu the estimate for the whole class
    4. anomaly of a class: |J - median| / (1.4826 * median of |J - median|), over the classes; above
       e^2 (`threshold`) the group that holds fewer of the clean samples is poison

Suspicion is the anomaly of the class for samples of that group, 0 for the others.

All is done in coordinates in which S_e is the identity and S_mu is diagonal: there a split is
2-means, and what takes a product of matrices for every sample elsewhere is a sum of squares.

Departs from the paper: groups are found by 2-means from ten starts instead of one. The clean
samples are told from the groups by the nearer mean instead of being split with them, since they are
samples of the same training set. Departs from the authors' code: mu of step 3 is estimated as the
class means of step 1 are; the code leaves S_mu S_e^-1 out of it there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchbd.api import CleanSet, DataFilter, ImageSet, Suspicion, draw_seed, features, param
from benchbd_zoo.defense.parts.latent import by_class, two_means

ENOUGH, ROUNDS = 1e-5, 100
"""When EM ends."""

MAD = 1.4826
"""Of a normal variable, its standard deviation in median absolute deviations."""


class SCAn(DataFilter):
    """Judges groups, not samples."""

    api = 1

    threshold: float = param(
        math.exp(2), "anomaly of a class above which one of its groups is poison", gt=0
    )

    def score(
        self, train_as_seen: ImageSet, model: nn.Module, clean: CleanSet, rng: torch.Generator
    ) -> Suspicion:
        held = clean.all()
        known, labels = features(model, held.images).double(), held.labels.cpu()
        space = estimated(known - known.mean(0), labels)
        classes = list(by_class(model, train_as_seen))
        mean = torch.cat([latent for _, _, latent in classes]).mean(0)
        ratios, poison = [], torch.zeros(len(train_as_seen), dtype=torch.bool)
        for label, places, latent in classes:
            samples = space.seen(latent - mean)
            second = two_means(samples, draw_seed(rng))
            ratios.append(space.ratio(samples, second))
            poison[places] = second == fewer_clean(
                samples, second, space.seen(known[labels == label] - mean)
            )
        index = anomaly(torch.stack(ratios))
        of_class = torch.zeros(train_as_seen.num_classes, dtype=torch.float64)
        of_class[[label for label, _, _ in classes]] = index
        scores = torch.where(poison, of_class[train_as_seen.labels.cpu()], 0.0)
        return Suspicion(
            scores,
            self.threshold,
            {"anomaly": dict(zip((str(k) for k, _, _ in classes), index.tolist(), strict=True))},
        )


@dataclass(frozen=True, eq=False)
class Space:
    """Coordinates r B in which S_e is the identity and S_mu has the diagonal `between` (k,); B (D,
    k).
    """

    basis: Tensor
    between: Tensor

    def seen(self, samples: Tensor) -> Tensor:
        return samples @ self.basis

    def centre(self, total: Tensor, count: Tensor | int) -> Tensor:
        """The expected mean of a class of `count` samples, in these coordinates, that add up to
        `total` (..., k).
        """
        return self.between * total / (count * self.between + 1)

    def ratio(self, samples: Tensor, second: Tensor) -> Tensor:
        """J of the samples (n, k) of a class, split in two groups."""
        whole = (samples - self.centre(samples.sum(0), len(samples))).square().sum()
        groups = [samples[group] for group in (second, ~second) if bool(group.any())]
        return (whole - sum((group - group.mean(0)).square().sum() for group in groups)) / len(
            samples
        )


def coordinates(between: Tensor, within: Tensor) -> tuple[Space, Tensor]:
    """The space of S_mu and S_e (D, D), and the matrix (k, D) that leads back; directions without e
    are left out.
    """
    values, directions = torch.linalg.eigh(within)
    live = values > 1e-10 * values[-1].clamp(min=1e-30)
    root, directions = values[live].sqrt(), directions[:, live]
    whitening = directions / root
    diagonal, turn = torch.linalg.eigh(whitening.T @ between @ whitening)
    return Space(whitening @ turn, diagonal.clamp(min=0)), turn.T @ (directions * root).T


def estimated(samples: Tensor, labels: Tensor) -> Space:
    """Step 1, from centred clean samples (n, D) and their labels (n,)."""
    _, place, counts = labels.unique(return_inverse=True, return_counts=True)
    totals = torch.zeros(len(counts), samples.shape[1], dtype=samples.dtype).index_add_(
        0, place, samples
    )
    means = totals / counts[:, None]
    between, within = torch.cov(means[place].T), torch.cov((samples - means[place]).T)
    for _ in range(ROUNDS):
        space, back = coordinates(between, within)
        means = space.centre(space.seen(totals), counts[:, None]) @ back
        before = between, within
        between, within = torch.cov(means[place].T), torch.cov((samples - means[place]).T)
        if (between - before[0]).norm() < ENOUGH and (within - before[1]).norm() < ENOUGH:
            break
    return coordinates(between, within)[0]


def fewer_clean(samples: Tensor, second: Tensor, clean: Tensor) -> bool:
    """Which of the two groups holds fewer of the clean samples (m, k) of the class; of as many, the
    smaller one.
    """
    if not bool(second.any()):
        return True
    nearer = (
        torch.cdist(clean, torch.stack([samples[~second].mean(0), samples[second].mean(0)]))
        .argmin(1)
        .bool()
    )
    inside, outside = int(nearer.sum()), int((~nearer).sum())
    return inside < outside or (inside == outside and int(second.sum()) * 2 <= len(second))


def anomaly(ratios: Tensor) -> Tensor:
    """How far each of the ratios (K,) lies from their median, in robust standard deviations."""
    distance = (ratios - ratios.quantile(0.5)).abs()
    return distance / (MAD * distance.quantile(0.5)).clamp(
        min=1e-12 + 1e-9 * float(ratios.abs().max())
    )
