"""Two-Stage Backdoor Defense (Lin, Liu, Wei, Li and Xiong, NeurIPS 2024, 2405.20291): clear the
weights that unlearning clean images moves most, and tune without exciting them again.

The weights that unlearning clean images changes are much the same as those that unlearning
poisoned ones would.

    1. unlearn: ascend CE over the clean images by SGD, all weights of a copy, pass by pass until
       it is right on no more than one of K images
    2. NWC(k) = sum |w_after - w_before| over the weights of output channel k of a convolution
    3. in the network that was handed in: of all channels of all layers take the share `n` of the
       highest NWC; of their weights set the share `m` to 0 that changed most, by one threshold for
       all
    4. tune all weights by SGD on the mixture (1 - alpha) * g1 + alpha * g2 of two gradients of CE:
       g1 at w, g2 at w + r * g1 / ||g1||, where each tensor of w has a norm of its own; the second
       keeps gradients small, which are large in the neurons of a backdoor

Shortcuts are left out in 2 and 3: in a network that can be traced, convolutions beside the path
that leads through the most of them; in another one none is.

Departs from the paper: `n` is one number. Its code tries eleven and prints the test figures of
each. The accuracy that ends step 1 is taken on the validation split; there it is that on the images
that are unlearned, and .1 for any number of classes. A tensor without a gradient is not moved for
g2; the code divides by 0. Running statistics move in the pass of g1 alone; there in one of its own
after each step. Its 20 epochs of tuning are 21 there.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from benchbd.api import (
    Augmentation,
    CleanSet,
    Diverged,
    ImageSet,
    Recipe,
    Repair,
    Repaired,
    accuracy,
    conv_layers,
    fit,
    fork,
    main_path,
    param,
    trace,
    track,
)
from benchbd_zoo.defense.parts.passes import Passes
from benchbd_zoo.defense.parts.unlearning import ascend, is_finite


class TSBD(Augmentation, Repair):
    """Parameters carry the names of the reference implementation."""

    api = 1

    n: float = param(0.15, "share of the channels in which weights are cleared", ge=0, le=1)
    m: float = param(0.7, "share of the weights of these channels that are cleared", ge=0, le=1)
    epochs: int = param(1000, "passes of unlearning at most", ge=1)
    lr_un: float = param(1e-4, "learning rate of unlearning", gt=0)
    ft_epoch: int = param(20, "passes of the tuning", ge=0)
    lr_ft: float = param(0.01, "learning rate of the tuning", gt=0)
    r: float = param(0.05, "step to where the second gradient is taken, in every tensor", ge=0)
    alpha: float = param(0.7, "weight of the second gradient", ge=0, le=1)
    batch_size: int = param(256, "images per step", ge=1)
    momentum: float = param(0.9, "momentum of unlearning and of the tuning", ge=0, lt=1)

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Repaired:
        layers = main_convolutions(model)
        unlearned, accuracies = self._unlearn(model, clean, rng)
        cleared = clear(model, changes(model, unlearned, layers), self.n, self.m)
        recipe = Recipe.of(self).model_copy(
            update={
                "epochs": self.ft_epoch,
                "lr": self.lr_ft,
                "weight_decay": 0.0,
                "schedule": "constant",
            }
        )
        tuned = fit(model, clean.train, recipe, rng, loss=self._loss, what="TSBD: tuning")
        return Repaired(
            tuned,
            notes={
                "cleared_weights": cleared,
                "unlearning_passes": len(accuracies),
                "unlearned": accuracies[-1] <= 1 / clean.train.num_classes,
            },
        )

    def _unlearn(
        self, model: nn.Module, clean: CleanSet, rng: torch.Generator
    ) -> tuple[nn.Module, list[float]]:
        """Step 1, and the accuracy on the validation split after every pass."""
        network = copy.deepcopy(model).train()
        passes = self._passes(clean.train, rng)
        sgd = torch.optim.SGD(network.parameters(), lr=self.lr_un, momentum=self.momentum)
        held, reached = clean.validation, []
        for done in track(range(1, self.epochs + 1), "TSBD: unlearning"):
            ascend(network, passes, sgd)
            if not is_finite(network):
                raise Diverged(f"tsbd: unlearning diverged in pass {done}; lower lr_un")
            reached.append(accuracy(network, held.images, held.labels))
            if reached[-1] <= 1 / held.num_classes:
                break
        return network, reached

    def _passes(self, images: ImageSet, rng: torch.Generator) -> Passes:
        return Passes(images, self.batch_size, fork(rng), shift=self.shift, flip=self.flip)

    def _loss(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """A scalar whose gradient is the mixture of step 4."""
        weights = {
            name: weight for name, weight in model.named_parameters() if weight.requires_grad
        }
        here = F.cross_entropy(model(images).float(), labels)
        slopes = torch.autograd.grad(
            here, list(weights.values()), retain_graph=True, materialize_grads=True
        )
        moved = {
            name: weight + self.r * slope / slope.norm().clamp(min=1e-12)
            for (name, weight), slope in zip(weights.items(), slopes, strict=True)
        }
        statistics = {name: buffer.clone() for name, buffer in model.named_buffers()}
        logits = functional_call(model, moved | statistics, (images,))
        there = F.cross_entropy(logits.float(), labels)
        return (1 - self.alpha) * here + self.alpha * there


def main_convolutions(model: nn.Module) -> list[str]:
    """The convolutions of the path through the network that has the most of them; all where it
    cannot be traced. Raises `NotApplicable` where there is none.
    """
    everywhere, graph = list(conv_layers(model)), trace(model)
    return everywhere if graph is None else main_path(graph) or everywhere


def changes(before: nn.Module, after: nn.Module, layers: list[str]) -> dict[str, Tensor]:
    """How far each weight of each of `layers` moved, (C, weights of a channel)."""
    return {
        layer: (
            after.get_submodule(layer).get_parameter("weight")
            - before.get_submodule(layer).get_parameter("weight")
        )
        .detach()
        .abs()
        .flatten(1)
        for layer in layers
    }


@torch.no_grad()
def clear(model: nn.Module, moved: dict[str, Tensor], n: float, m: float) -> int:
    """Step 3, in place; how many weights were cleared."""
    sums = torch.cat([part.sum(1) for part in moved.values()])
    chosen = torch.zeros(len(sums), dtype=torch.bool, device=sums.device)
    chosen[sums.argsort(descending=True, stable=True)[: int(n * len(sums))]] = True
    of_layer = dict(zip(moved, chosen.split([len(part) for part in moved.values()]), strict=True))
    pool = torch.cat([part[of_layer[layer]].flatten() for layer, part in moved.items()])
    count = int(m * len(pool))
    if not count:
        return 0
    least, cleared = pool.sort(descending=True).values[count - 1], 0
    for layer, part in moved.items():
        gone = of_layer[layer][:, None] & (part >= least)
        weight = model.get_submodule(layer).get_parameter("weight")
        weight.masked_fill_(gone.view(weight.shape), 0)
        cleared += int(gone.sum())
    return cleared
