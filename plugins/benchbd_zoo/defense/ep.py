"""EP, entropy-based pruning (Zheng, Tang, Li and Liu, NeurIPS 2022, "Pre-activation Distributions
Expose Backdoor Neurons").

What enters a neuron that carries a backdoor has two peaks over the mixed training set, one of clean
and one of poisoned images, and a distribution of two peaks has a low entropy beside one of the same
spread that has a single peak.

    1. for channel k of a BatchNorm: the largest value over all places of what enters it, per image
       of the training set as the victim saw it, then standardised over the images
    2. h(k) = entropy of the histogram of these values, with bins of width `step_size`
    3. prune k, that is zero its scale, if h(k) < mean(h) - u * std(h) over the channels of its
       layer

The method holds no clean data, so u is fixed and the sweep over u has no validation accuracy.

Departs from the paper's code: a channel that is the same for every image is left out (there its
entropy is no number, and nothing of its layer would be pruned); the last bin, and values on the
border of two, count.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from benchbd.api import ImageSet, Repaired, Sweep, TrainingSetRepair, param
from benchbd_zoo.defense.parts.outliers import OutlierRule
from benchbd_zoo.defense.parts.preactivations import batch_norms, gathered


class EP(OutlierRule, TrainingSetRepair):
    """One pass over the training set, or over a part of it."""

    api = 1

    step_size: float = param(0.01, "width of the histogram's bins, in standard deviations", gt=0)
    samples: int | None = param(10_000, "training images read, drawn at random; unset: all", ge=2)

    def repair(self, model: nn.Module, train_as_seen: ImageSet, rng: torch.Generator) -> Repaired:
        drawn = torch.randperm(len(train_as_seen), generator=rng)[: self.samples].sort().values
        images = train_as_seen.images[drawn.to(train_as_seen.images.device)]
        peaks = gathered(
            model, batch_norms(model), images, lambda inputs: inputs.amax(2), "EP: pre-activations"
        )
        entropies = {layer: entropy(values.T, self.step_size) for layer, values in peaks.items()}
        path, chosen = self.sweep_over_u({layer: -h for layer, h in entropies.items()}, "scale")
        return Repaired(
            path.at(model, chosen),
            sweep=Sweep(path, None, chosen),
            notes={
                "pruned": path.cuts[chosen],
                "of": len(path.units),
                "u": self.u,
                "images": len(drawn),
            },
            tensors={f"entropy.{layer}": values for layer, values in entropies.items()},
        )


def entropy(values: Tensor, step_size: float) -> Tensor:
    """Entropy (C,) in nats of the standardised values (C, N) in bins of `step_size`; not a number
    where they do not vary.
    """
    values = values.double()
    spread = values.std(1)
    standard = (values - values.mean(1, keepdim=True)) / spread[:, None]
    varies = spread > 1e-6 * values.abs().amax(1)
    bins = (
        ((standard - standard[varies].min()) / step_size).floor().long()
        if varies.any()
        else standard
    )
    found = [
        _of_counts(row.unique(return_counts=True)[1]) if good else math.nan
        for row, good in zip(bins, varies, strict=True)
    ]
    return torch.tensor(found, dtype=torch.float64)


def _of_counts(counts: Tensor) -> float:
    shares = counts.double() / counts.sum()
    return -float((shares * shares.log()).sum())
