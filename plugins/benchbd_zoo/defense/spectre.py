"""SPECTRE (Hayase, Kong, Somani and Oh, ICML 2021, 2104.11315).

Whitening by the covariance of the clean samples brings out what little poison changes; that
covariance is estimated robustly, from samples of which some are poison.

    for every class of n samples, reduced to its 64 principal components, and k in {1, 4, 9, ...,
    64}:
    1. S = the first k components; keep a part of S whose covariance looks like that of normal
       samples (`kept_part`)
    2. h = S - mean, whitened by the covariance of that part
    3. QUE: Q = exp(alpha (C - I) / (||C|| - 1)), C the covariance of all h;
       tau_i = h_i^T Q h_i / tr Q
    4. the 1.5 * eps * n samples of highest tau are suspects
    k* = the k for which the mean of tau over all n is highest, in the 64 components whitened by
    those that are no suspects; the class in which that is highest is the attacked one, and its
    suspects are removed

eps is an assumption, and only of the one class that is taken to be attacked: at most 0.33, and 0.1
for a class of fewer than 500 samples. One class always is, also where nothing is poisoned.

Suspicion is where a sample of that class stands by tau, from 0 to 1; samples of other classes stand
below 0.

Departs from the paper: eps is a share of the class instead of a count. Samples are centred by the
mean of the part that is kept, and the rounds of step 1 are bounded (`rounds`). Where a class has
fewer than 64 components, the k are spaced alike.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from benchbd.api import CleanSet, DataFilter, ImageSet, Suspicion, param, track
from benchbd_zoo.defense.parts.latent import by_class, principal, rank_shares
from benchbd_zoo.defense.spectral_signatures import SLACK

COMPONENTS, TRIED = 64, 8
"""Components that are looked at, and how many k are tried."""

MOST, MOST_OF_FEW, FEW = 0.33, 0.1, 500
"""The largest eps; the largest of a class with few samples; fewer than so many are few."""

CUT = 10
"""The C of the filter."""

STEPS = 200
"""Most steps of a power iteration."""


class Spectre(DataFilter):
    """Draws nothing, so the same set gives the same scores in any order."""

    api = 1

    eps: float = param(
        0.1,
        "assumed share of poison in the attacked class; 1.5 times as many are removed",
        gt=0,
        le=MOST,
    )
    alpha: float = param(
        4.0, "how much the scores look at the most outlying directions alone", ge=0
    )
    tau: float = param(
        0.1, "probability with which the filter of the covariance may fail", gt=0, lt=1
    )
    rounds: int = param(100, "most rounds of that filter for one class and one k", ge=1)

    def score(
        self, train_as_seen: ImageSet, model: nn.Module, clean: CleanSet, rng: torch.Generator
    ) -> Suspicion:
        scores, values, chosen = torch.zeros(len(train_as_seen), dtype=torch.float64), {}, {}
        for label, places, latent in track(
            by_class(model, train_as_seen), "SPECTRE: classes", train_as_seen.num_classes
        ):
            values[label], chosen[label], tau = self._best(latent)
            scores[places] = rank_shares(tau) - 1
        attacked = max(values, key=lambda label: (values[label], -label))
        members = train_as_seen.labels.cpu() == attacked
        scores[members] += 1
        notes = {
            "attacked class": attacked,
            "k": chosen[attacked],
            "mean of tau": {str(k): v for k, v in values.items()},
        }
        return Suspicion(scores, 1 - SLACK * self._share(int(members.sum())), notes)

    def _share(self, count: int) -> float:
        return min(self.eps, MOST_OF_FEW) if count < FEW else self.eps

    def _best(self, latent: Tensor) -> tuple[float, int, Tensor]:
        """Of all k: the highest mean of tau in the space of all components, that k, and tau (n,)
        under it.
        """
        centred = latent - latent.mean(0)
        components = centred @ principal(centred, COMPONENTS)
        count, width = components.shape
        if count < 3 or not width:  # nothing differs, or too few to speak of a covariance
            return 0.0, 0, torch.zeros(count, dtype=torch.float64)
        results = []
        for k in dimensions(width):
            tau = que_scores(components[:, :k], self._part(components[:, :k]), self.alpha)
            rest = rank_shares(tau) <= 1 - SLACK * self._share(count)
            results.append((float(que_scores(components, rest, self.alpha).mean()), k, tau))
        return max(results, key=lambda result: result[0])

    def _part(self, samples: Tensor) -> Tensor:
        share = self._share(len(samples))
        return kept_part(samples, share, self.tau, round(2 * share * len(samples)), self.rounds)


def dimensions(width: int) -> list[int]:
    """The k that are tried: squares of evenly spaced numbers from 1 to the root of `width`,
    rounded.
    """
    return sorted(
        {
            round(x**2)
            for x in torch.linspace(1, math.sqrt(width), TRIED, dtype=torch.float64).tolist()
        }
    )


def que_scores(samples: Tensor, part: Tensor, alpha: float) -> Tensor:
    """tau (n,) of samples (n, k), centred and whitened by the `part` (n,) bool of them."""
    inner = samples[part]
    whitened = (samples - inner.mean(0)) @ _inverse_root(_covariance(inner))
    excess = _covariance(whitened) - torch.eye(samples.shape[1], dtype=samples.dtype)
    values, directions = torch.linalg.eigh(excess)
    largest = values[-1]
    weights = torch.exp(alpha * values / largest) if largest > 1e-9 else torch.ones_like(values)
    scores: Tensor = (whitened @ directions).square() @ weights / weights.sum()
    return scores


def kept_part(samples: Tensor, eps: float, tau: float, limit: int, rounds: int) -> Tensor:
    """The part (n,) bool of samples (n, k) whose covariance is to be trusted; at most `limit` are
    left out.

    The filter for the covariance of normal samples of Diakonikolas, Kamath, Kane, Li, Moitra and
    Stewart 2017 (1703.00893), with the constants of the authors of SPECTRE. Of the samples y that
    are kept, whitened by their own second moments: those of |y|^2 >= 10 k log(n / tau) go at once.
    Then, for the quadratic form p(y) of norm 1 with the largest mean square, the filter ends if
    that is no larger than normal samples give it, 1 + 10 eps log(1 / eps)^2; else the samples go
    for which p lies farthest from its median.
    """
    kept = torch.ones(len(samples), dtype=torch.bool)
    for _ in range(rounds if samples.shape[1] > 1 else 0):
        places = torch.nonzero(kept)[:, 0]
        allowed = limit - (len(samples) - len(places))
        if allowed <= 0 or len(places) < 3:
            break
        inner = samples[places]
        whitened = inner @ _inverse_root(inner.T @ inner / len(inner))
        excess = whitened.square().sum(1) - CUT * samples.shape[1] * math.log(len(inner) / tau)
        out = excess >= 0
        deviation = excess
        if not bool(out.any()):
            deviation = _deviation(whitened, 1 + CUT * eps * math.log(1 / eps) ** 2)
            out = deviation > _cut(deviation, eps)
        if not bool(out.any()):
            break
        farthest = deviation.argsort(descending=True, stable=True)[: min(allowed, int(out.sum()))]
        kept[places[farthest]] = False
    return kept


def _deviation(whitened: Tensor, normal: float) -> Tensor:
    """How far (n,) the most spread quadratic form lies from its median; all 0 if it is spread no
    more than `normal`.
    """
    spread, form = most_spread_form(whitened)
    if spread <= normal:
        return torch.zeros(len(whitened), dtype=whitened.dtype)
    values = (((whitened @ form) * whitened).sum(1) - form.trace()) / math.sqrt(2)
    return (values - values.median()).abs()


def most_spread_form(whitened: Tensor) -> tuple[float, Tensor]:
    """The largest variance of y^T V y over whitened samples (n, k), and the symmetric V (k, k) of
    norm 1 that has it.

    The top eigenvector, by power iteration, of a matrix of k^2 x k^2 that is never written down.
    """
    count, width = whitened.shape
    form = torch.linspace(1, 2, width, dtype=whitened.dtype).diag()
    identity, spread = torch.eye(width, dtype=whitened.dtype), 0.0
    for _ in range(STEPS):
        form = form / form.norm().clamp(min=1e-30)
        values = ((whitened @ form) * whitened).sum(1)
        image = whitened.T @ (whitened * values[:, None]) / count - form.trace() * identity
        before, spread = spread, float((form * image).sum())
        if spread - before < 1e-3 * spread:
            break
        form = image
    return spread, form


def _cut(deviation: Tensor, eps: float) -> float:
    """T: the least deviation above 3, less 3, at which as large a part lies below as the tail of
    normal samples asks.
    """
    ascending = deviation.sort().values
    cuts = ascending - 3
    below = torch.arange(1, len(ascending) + 1) / len(ascending)
    tail = torch.where(
        cuts <= 10 * math.log(1 / eps), 1.0, 3 * eps / (cuts * cuts.clamp(min=2).log()).square()
    )
    enough = torch.nonzero((cuts > 0) & (below >= tail))[:, 0]
    return float(cuts[enough[0]]) if len(enough) else math.inf


def _covariance(samples: Tensor) -> Tensor:
    centred = samples - samples.mean(0)
    return centred.T @ centred / len(samples)


def _inverse_root(matrix: Tensor) -> Tensor:
    """M^(-1/2) of a symmetric matrix; directions without extent stay without."""
    values, directions = torch.linalg.eigh(matrix)
    live = values > 1e-10 * values[-1].clamp(min=1e-30)
    root: Tensor = (
        directions * torch.where(live, values.clamp(min=1e-300).rsqrt(), 0.0)
    ) @ directions.T
    return root
