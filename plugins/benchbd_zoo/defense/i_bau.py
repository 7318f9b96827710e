"""I-BAU (Zeng, Chen, Park, Mao, Jin and Jia, ICLR 2022, 2110.03735): unlearn one universal
perturbation by its hypergradient.

    min over w, max over one delta (1, C, H, W), `n_rounds` times:

    1. inner: delta = 0; over one pass of the clean images, by SGD,
           delta <- delta - inner_lr * grad [ -CE(f_w(x + delta), f_w's own prediction of x)
                                              + l2 * ||delta||^2 ]
    2. outer, for every batch: L_out(delta, w) = CE with delta added to a random `portion` of the
       batch, and

           dL_out/dw = d_w L_out + (d_w Phi)^T v
           v = (I - d_delta Phi)^-T d_delta L_out
           Phi(delta) = delta - step * d_delta L_in

       v by at most K fixed-point steps v <- (d_delta Phi)^T v + d_delta L_out; L_in as in 1 but
       with labels, on the first batch of the round. Adam on all weights.

The network stays in eval mode. x + delta is not clipped. All of it in float32, since second
derivatives are taken; the gradient of the formula is that of one scalar, L_out + <Phi, v> with v
held fixed.

Departs from the paper: the clean images come from the training set, those of the paper from the
test set. Batches are drawn anew in every round. At least one image of a batch carries delta; in the
code a batch of less than 100 has none.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchbd.api import (
    Augmentation,
    CleanSet,
    ImageSet,
    Recipe,
    Repair,
    Repaired,
    batch_sizes,
    device_of,
    eval_mode,
    fit,
    fork,
    param,
    to_float,
)

Loss = Callable[[Tensor], Tensor]
"""Of the perturbation (1, C, H, W)."""


class IBAU(Augmentation, Repair):
    """Its fixed number of rounds chooses nothing, so it needs no validation split."""

    api = 1
    results_version = 2

    n_rounds: int = param(5, "rounds of perturbing and unlearning", ge=0)
    K: int = param(5, "fixed-point steps for the hypergradient, at most", ge=0)
    batch_size: int = param(100, "images per step", ge=1)
    lr: float = param(1e-3, "learning rate of the weights, by Adam", gt=0)
    inner_lr: float = param(10.0, "learning rate of the perturbation", gt=0)
    l2: float = param(1e-3, "penalty on the squared norm of the perturbation", ge=0)
    portion: float = param(
        0.01, "share of a batch that carries the perturbation when unlearning", gt=0, le=1
    )
    step: float = param(0.1, "step of the map whose fixed point the perturbation is", gt=0)
    tol: float = param(1e-10, "change of v below which the fixed-point steps end", ge=0)
    shift: int = param(0, "random crops: pixels of zero border", ge=0)

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Repaired:
        fixed = {
            "epochs": self.n_rounds,
            "optimizer": "adam",
            "weight_decay": 0.0,
            "schedule": "constant",
            "precision": "fp32",
        }
        unlearning = _Unlearning(self, clean.all(), fork(rng))
        repaired = fit(
            model,
            clean.all(),
            Recipe.of(self).model_copy(update=fixed),
            rng,
            loss=unlearning,
            what="I-BAU: unlearning",
        )
        return Repaired(repaired, notes={"perturbation_norms": unlearning.norms})


class _Unlearning:
    """The loss of every batch; at the first one of a round a new perturbation is found."""

    def __init__(self, method: IBAU, images: ImageSet, rng: torch.Generator) -> None:
        self.method, self.images, self.rng = method, images, rng
        self.steps, self.done = len(batch_sizes(len(images), method.batch_size)), 0
        self.delta = torch.empty(0)
        self.first: tuple[Tensor, Tensor] = self.delta, self.delta
        self.norms: list[float] = []

    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        with (
            eval_mode(model),
            sdpa_kernel(SDPBackend.MATH),
        ):  # attention that can be differentiated twice
            if self.done % self.steps == 0:
                self.delta, self.first = self._perturbation(model), (images, labels)
                self.norms.append(float(self.delta.norm()))
            self.done += 1
            carriers = self._carriers(len(images)).to(images.device)

            def outer(delta: Tensor) -> Tensor:
                return F.cross_entropy(model(images + carriers * delta), labels)

            def inner(delta: Tensor) -> Tensor:
                return self._harm(model, *self.first, delta)

            return implicit(
                outer, inner, self.delta, self.method.step, self.method.K, self.method.tol
            )

    def _perturbation(self, model: nn.Module) -> Tensor:
        """Step 1: delta (1, C, H, W) after one pass over the clean images, in an order
        of its own.
        """
        delta = torch.zeros(1, *self.images.image_shape, device=device_of(model))
        order = torch.randperm(len(self.images), generator=self.rng)
        for places in order.split(self.method.batch_size):
            batch = to_float(self.images.images[places]).to(delta.device)
            with torch.no_grad():
                own = model(batch).argmax(1)
            delta.requires_grad_()
            (gradient,) = torch.autograd.grad(self._harm(model, batch, own, delta), delta)
            delta = delta.detach() - self.method.inner_lr * gradient
        return delta

    def _harm(self, model: nn.Module, images: Tensor, labels: Tensor, delta: Tensor) -> Tensor:
        """What the perturbation descends."""
        return -F.cross_entropy(model(images + delta), labels) + self.method.l2 * delta.pow(2).sum()

    def _carriers(self, count: int) -> Tensor:
        """(N, 1, 1, 1): 1 for the images of a batch that carry the perturbation, else 0."""
        chosen = torch.randperm(count, generator=self.rng)[
            : max(1, int(count * self.method.portion))
        ]
        return torch.zeros(count).index_fill_(0, chosen, 1.0)[:, None, None, None]


def implicit(outer: Loss, inner: Loss, delta: Tensor, step: float, most: int, tol: float) -> Tensor:
    """A scalar of the value of `outer` at `delta` whose gradient with respect to the weights is the
    hypergradient.

    delta: the minimum of `inner`, or near it. Both losses depend on the weights besides.
    """
    delta = delta.detach().requires_grad_()
    loss = outer(delta)
    (direct,) = torch.autograd.grad(loss, delta, retain_graph=True)
    (slope,) = torch.autograd.grad(inner(delta), delta, create_graph=True)
    mapped = delta - step * slope
    v = torch.zeros_like(delta)
    for _ in range(most):
        before = v
        (pulled,) = torch.autograd.grad(mapped, delta, grad_outputs=v, retain_graph=True)
        v = pulled + direct
        if float((v - before).norm()) < tol:
            break
    through = (mapped * v).sum()
    return loss + through - through.detach()
