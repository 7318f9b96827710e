"""Path-Aware Minimisation (Min, Qin, Zhang, Shen and Cheng, NeurIPS 2024, 2410.09838): leave the
backdoored network further behind than tuning alone would.

What is tuned on clean images stays close to the backdoored weights, and a few poisoned samples or
queries wake the backdoor up. PAM takes every gradient some way back towards them. The trigger is
inverted as in `bti_dbf`, whose step 3 is replaced: with w0 the weights of the backdoored network,
w the present ones and z a batch in which `portion` of the images are the generator's,

    d = rho * (w0 - w) / ||w0 - w||_2           one norm over all weights; 0 where w = w0
    w <- w - lr * gradient of CE(f(z), y) at w + d,  by SGD with momentum

Running statistics move in the passes at w + d, the only ones there are.

Departs from the paper: nothing beyond what `bti_dbf` does. The rate and the momentum are those of
the authors' code, which adds no penalty on the weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from benchbd.api import Classifier, device_of, hardware, param
from benchbd_zoo.defense.bti_dbf import BTIDBF, Unlearning


class PAM(BTIDBF):
    """Parameters carry the names of the reference implementation."""

    api = 1

    nround: int = param(3, "rounds of inverting and unlearning", ge=1)
    portion: float = param(0.2, "share of a batch that the generator replaces", ge=0, le=1)
    lr: float = param(0.01, "learning rate of unlearning, by SGD", gt=0)
    momentum: float = param(0.1, "momentum of unlearning", ge=0, lt=1)
    rho: float = param(
        0.5, "way back towards the backdoored weights at which the gradient is taken", ge=0
    )

    def unlearning(self, model: Classifier) -> Unlearning:
        start = [weight.detach().clone() for weight in model.parameters()]
        sgd = torch.optim.SGD(model.parameters(), lr=self.lr, momentum=self.momentum)
        machine = hardware(str(device_of(model)))

        def step(images: Tensor, mixed: Tensor, labels: Tensor) -> Tensor:
            weights = list(model.parameters())
            here = [weight.detach().clone() for weight in weights]
            _place(weights, backwards(here, start, self.rho))
            with machine.autocast(mixed):
                loss = F.cross_entropy(model(mixed).float(), labels)
            sgd.zero_grad()
            loss.backward()
            _place(weights, here)
            sgd.step()
            return loss.detach()

        return step


def backwards(here: Sequence[Tensor], start: Sequence[Tensor], rho: float) -> list[Tensor]:
    """The weights at a distance `rho` from `here` on the straight way to `start`; it does not end
    there, should that be nearer.
    """
    way = [first - now for first, now in zip(start, here, strict=True)]
    norm = torch.stack([part.norm() for part in way]).norm() + 1e-12
    return [now + rho * part / norm for now, part in zip(here, way, strict=True)]


@torch.no_grad()
def _place(weights: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for weight, value in zip(weights, values, strict=True):
        weight.copy_(value)
