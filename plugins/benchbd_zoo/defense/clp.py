"""Channel Lipschitzness based Pruning (Zheng, Tang, Li and Liu, ECCV 2022, 2208.03111).

A channel that answers to a trigger is more sensitive than its neighbours, and its weights alone
show it.

    1. for channel k of a convolution W that a BatchNorm (gamma, beta, mu, sigma^2) reads:
           L(k) = ||reshape(W_k, (C_in, h * w))||_2 * |gamma_k| / sqrt(sigma_k^2 + eps),
       where ||.||_2 is the largest singular value
    2. prune k, that is zero gamma_k and beta_k, if L(k) > mean(L) + u * std(L) over the channels of
       its layer

No data take part: u is fixed. The clean images are looked at only to show accuracy on the
validation split along the sweep over u.

Departs from the paper's code: it leaves eps out, and takes the convolution registered before a
BatchNorm for the one that feeds it, which is another one in a network with pre-activation. Here the
two are a pair if in the network's graph the BatchNorm, and nothing else, reads the convolution.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from benchbd.api import (
    CleanSet,
    NotApplicable,
    Repair,
    Repaired,
    Sweep,
    conv_layers,
    following_norm,
    sweep_accuracies,
    trace,
)
from benchbd_zoo.defense.parts.outliers import OutlierRule


class CLP(OutlierRule, Repair):
    """Data-free; seconds on any network."""

    api = 1

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Repaired:
        constants = {
            norm: lipschitz_constants(model, conv, norm) for conv, norm in pairs(model).items()
        }
        path, chosen = self.sweep_over_u(constants, "output")
        accuracies = sweep_accuracies(model, path, clean.validation, what="CLP: sweep")
        return Repaired(
            path.at(model, chosen),
            sweep=Sweep(path, accuracies, chosen),
            notes={
                "pruned": path.cuts[chosen],
                "of": len(path.units),
                "u": self.u,
                "layers": len(constants),
            },
            tensors={f"lipschitz.{norm}": values for norm, values in constants.items()},
        )


def pairs(model: nn.Module) -> dict[str, str]:
    """By convolution: the BatchNorm that directly and alone reads it."""
    convolutions, graph = conv_layers(model), trace(model)
    if graph is None:
        raise NotApplicable(
            "the network cannot be traced, and which convolution feeds a BatchNorm is read from "
            "its graph"
        )
    found = {
        conv: norm
        for conv in convolutions
        if (norm := following_norm(graph, conv)) and _has_statistics(model, norm)
    }
    if not found:
        raise NotApplicable(
            "no convolution of the network is read by a BatchNorm alone, so no channel has a "
            "Lipschitz constant"
        )
    return found


def _has_statistics(model: nn.Module, norm: str) -> bool:
    return isinstance(getattr(model.get_submodule(norm), "running_var", None), Tensor)


@torch.no_grad()
def lipschitz_constants(model: nn.Module, conv: str, norm: str) -> Tensor:
    """L (C,) of the channels of a convolution and the BatchNorm behind it, float64."""
    weight, layer = (
        model.get_submodule(conv).get_parameter("weight").double(),
        model.get_submodule(norm),
    )
    variance = layer.get_buffer("running_var").double() + cast(float, layer.eps)
    scale = layer.get_parameter("weight").double() / variance.sqrt()
    return cast(Tensor, torch.linalg.matrix_norm(weight.flatten(2), ord=2) * scale.abs())
