"""Spectral Signatures (Tran, Li and Madry, NeurIPS 2018, 1811.00636).

Poison leaves a trace in the spectrum of the covariance of its class.

    for every class of n samples:
    1. R = penultimate features, minus their mean
    2. v = the top right singular vector of R
    3. tau_i = (R_i . v)^2
    4. the 1.5 * eps * n samples of highest tau are removed

How much of a class is poison is not known to a defender: `eps` is an assumption, the same for every
class, and 0.1 of it removes 15 % of every class whatever the truth is.

Suspicion is where a sample stands in its class by tau, from 0 to 1: as eps grows, samples go in
this order. The method compares no tau of one class with that of another.

Departs from the paper: eps is a share of the class instead of a count. `projection="uncentred"` is
that of the authors' script, which finds v as above and then takes |features . v| without taking the
mean away.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from benchbd.api import CleanSet, DataFilter, ImageSet, Suspicion, param
from benchbd_zoo.defense.parts.latent import by_class, principal, rank_shares

SLACK = 1.5
"""Samples removed for each that is assumed to be poison."""


class SpectralSignatures(DataFilter):
    """Draws nothing, so the same set gives the same scores in any order."""

    api = 1

    eps: float = param(
        0.1,
        "assumed share of poison in a class; 1.5 times as many of every class are removed",
        ge=0,
        lt=2 / 3,
    )
    projection: Literal["centred", "uncentred"] = param(
        "centred", "of the features onto v; uncentred: as the authors' script"
    )

    def score(
        self, train_as_seen: ImageSet, model: nn.Module, clean: CleanSet, rng: torch.Generator
    ) -> Suspicion:
        scores, spread = torch.zeros(len(train_as_seen), dtype=torch.float64), {}
        for label, places, latent in by_class(model, train_as_seen):
            tau = outlyingness(latent, self.projection)
            scores[places] = rank_shares(tau)
            spread[str(label)] = float(tau.mean())
        return Suspicion(scores, 1 - SLACK * self.eps, {"mean of tau": spread})


def outlyingness(latent: Tensor, projection: Literal["centred", "uncentred"] = "centred") -> Tensor:
    """tau (n,) of the features (n, D) of a class; all 0 where they do not differ."""
    centred = latent - latent.mean(0)
    direction = principal(centred, 1)
    return ((centred if projection == "centred" else latent) @ direction).square().sum(1)
