"""Grond (Xu, Liu, Koffas, Picek 2025, "Towards Backdoor Stealthiness in Model Parameter Space",
2501.05928): a backdoor whose traces in the weights are smoothed away while it is learned.

    1. the training set is poisoned by `upgd`: one adversarial perturbation on a share of the target
       class, which keeps its label
    2. the network is trained on it by the recipe, and after every epoch (Adversarial Backdoor
       Injection): in a layer of convolution and BatchNorm, channels k with
           L(k) > mean(L) + u * std(L),    L: Lipschitz constant of a channel as in `clp`,
       get the mean scale and the mean shift of their layer
    3. test images get the perturbation

A defense that looks for channels more sensitive than their neighbours thus finds none. The poisoned
set is handed back, so that defenses of the training set apply.

Departs from the paper: nothing is smoothed after the last epoch. The authors' code does so, but
keeps a network from before that, the one of the best accuracy on 1,000 held-out images; here it is
that of the last epoch. Which convolution a BatchNorm reads is taken from
the network's graph, as in `clp`, where their code takes the one registered before it. Departures of
`upgd` hold here as well.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchbd.api import (
    BuildModel,
    ImageSet,
    Recipe,
    Trained,
    TrainingControlledAttack,
    batch_sizes,
    fit,
    fork,
    param,
)
from benchbd_zoo.attack.upgd import UPGD, Length
from benchbd_zoo.defense.clp import lipschitz_constants, pairs


class Grond(TrainingControlledAttack):
    """Clean label. The attacker poisons the set and trains the network."""

    api = 1
    clean_label = True
    leaves_poisoned_set = True

    poison_ratio: float = param(0.5, "share of the target class that is poisoned", ge=0, le=1)
    eps: float = param(
        8.0, "how long the perturbation may be in its norm, on the scale to 255", gt=0
    )
    norm: Length = param("linf", "how its length is measured: at every pixel, or of all of them")
    steps: int = param(500, "steps of the descent", ge=1)
    u: float = param(
        3.0, "standard deviations above the mean from which on a channel is smoothed", ge=0
    )

    def prepare(
        self, train: ImageSet, build_model: BuildModel, recipe: Recipe, rng: torch.Generator
    ) -> dict[str, Tensor]:
        return self._poisoning().prepare(train, build_model, recipe, rng)

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return self._poisoning().stamp(images, labels, rng)

    def train(
        self, model: nn.Module, clean_train: ImageSet, recipe: Recipe, rng: torch.Generator
    ) -> Trained:
        poisoned = self._poisoning().poison(clean_train, fork(rng))
        layers = pairs(model)
        steps = len(batch_sizes(len(clean_train), recipe.batch_size))
        done = 0

        def after_step(network: nn.Module) -> None:
            nonlocal done
            done += 1
            if done % steps == 0 and done < steps * recipe.epochs:
                smooth(network, layers, self.u)

        trained = fit(
            model,
            poisoned.as_seen(),
            recipe,
            rng,
            after_step=after_step,
            what="training on grond",
        )
        return Trained(trained, self.trigger, poisoned)

    def _poisoning(self) -> UPGD:
        """Step 1, with what is known of the perturbation."""
        shared = {name: value for name, value in self.params.items() if name != "u"}
        return UPGD(**shared).with_trigger(self.trigger)


@torch.no_grad()
def smooth(model: nn.Module, layers: dict[str, str], u: float) -> None:
    """Step 2, in place. layers: by convolution, the BatchNorm that reads it."""
    for conv, norm in layers.items():
        constants = lipschitz_constants(model, conv, norm)
        loud = constants > constants.mean() + u * constants.std()
        for part in ("weight", "bias"):
            values = model.get_submodule(norm).get_parameter(part)
            values[loud.to(values.device)] = values.mean()
