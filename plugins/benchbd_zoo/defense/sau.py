"""Shared Adversarial Unlearning (Wei, Zhang, Zha and Wu, NeurIPS 2023, 2307.10562): unlearn what
still fools both networks.

    f0 = the backdoored network, frozen; f starts as f0. In every batch:

    1. per image a perturbation p, ||p||_inf <= trigger_norm, starting at +trigger_norm;
       `adv_steps` times
           p <- clip(p - adv_lr * sign grad [ beta_1 * L_adv + beta_2 * L_share ])
       L_adv   = -1/2 of the CE of f over images that do not fool f yet, and that of f0 over those
                 that do not fool f0
       L_share = Jensen-Shannon divergence of f and f0 over images not yet taken for the same wrong
                 class by both
       (both are sums over such images, divided by the size of the batch)
    2. minimise over f, by Adam:  lmd_1 * CE(f(x), y) + lmd_2 * CE(f(x + p), y) + lmd_3 * L_s
       L_s over images for which p fools f0, with q = softmax f(x + p) and k the class that f0 takes
       them for:
           -1/2 [ log(1e-6 + min(sum of q but k, .999)) + log(1 + 1e-6 - max(q_k, .001)) ],
       their sum divided by the size of the batch

p lives on images in [0, 1], before normalisation, and x + p is not clipped. As in the reference f
trains in eval mode, so that running statistics stay, unless `train_mode` is set.

Departs from the paper: nothing. Adam has amsgrad, as in the reference.
"""

from __future__ import annotations

import copy
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import Augmentation, CleanSet, Recipe, Repair, eval_mode, fit, param


class SAU(Augmentation, Repair):
    """Its fixed number of rounds chooses nothing, so it needs no validation split."""

    api = 1
    results_version = 2

    n_rounds: int = param(100, "passes over the clean images", ge=0)
    batch_size: int = param(256, "images per step", ge=1)
    lr: float = param(1e-4, "learning rate, by Adam", gt=0)
    lmd_1: float = param(1.0, "weight of the loss on clean images", ge=0)
    lmd_2: float = param(
        0.0, "weight of the loss on perturbed images, as in adversarial training", ge=0
    )
    lmd_3: float = param(1.0, "weight of the shared adversarial risk", ge=0)
    beta_1: float = param(0.01, "weight of fooling either network in the perturbation", ge=0)
    beta_2: float = param(1.0, "weight of fooling both alike in the perturbation", ge=0)
    trigger_norm: float = param(0.2, "largest change of a pixel, images being in [0, 1]", ge=0)
    adv_lr: float = param(0.2, "step of the perturbation", ge=0)
    adv_steps: int = param(5, "steps of the perturbation", ge=0)
    train_mode: bool = param(
        False, "normalise by the batch when unlearning, and move running statistics"
    )
    shift: int = param(0, "random crops: pixels of zero border", ge=0)

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> nn.Module:
        fixed = {
            "epochs": self.n_rounds,
            "optimizer": "amsgrad",
            "weight_decay": 0.0,
            "schedule": "constant",
        }
        reference = copy.deepcopy(model).eval().requires_grad_(False)

        def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
            return self._loss(model, reference, images, labels)

        return fit(
            model,
            clean.all(),
            Recipe.of(self).model_copy(update=fixed),
            rng,
            loss=loss,
            what="SAU: unlearning",
        )

    def _loss(
        self, model: nn.Module, reference: nn.Module, images: Tensor, labels: Tensor
    ) -> Tensor:
        """Both steps on one batch."""
        with eval_mode(model):
            perturbed = images + self._perturb(model, reference, images, labels)
        with nullcontext() if self.train_mode else eval_mode(model):
            natural, attacked = model(torch.cat([images, perturbed])).float().chunk(2)
        with torch.no_grad():
            own, fooled = (reference(batch).argmax(1) for batch in (images, perturbed))
        dangerous = (fooled != labels) & (fooled != own)
        loss = self.lmd_1 * F.cross_entropy(natural, labels) + self.lmd_3 * shared_risk(
            attacked, fooled, dangerous
        )
        return loss + self.lmd_2 * F.cross_entropy(attacked, labels) if self.lmd_2 else loss

    def _perturb(
        self, model: nn.Module, reference: nn.Module, images: Tensor, labels: Tensor
    ) -> Tensor:
        """Step 1: (B, C, H, W)."""
        with torch.no_grad():
            own, own_reference = model(images).argmax(1), reference(images).argmax(1)
        p = torch.full_like(images, self.trigger_norm)
        for _ in range(self.adv_steps):
            p.requires_grad_()
            scores, scores_reference = model(images + p).float(), reference(images + p).float()
            taken, taken_reference = scores.argmax(1), scores_reference.argmax(1)
            fooled, fooled_reference = taken != own, taken_reference != own_reference
            shared = fooled & fooled_reference & (taken == taken_reference)
            adversarial = _summed(F.cross_entropy(scores, labels, reduction="none"), ~fooled)
            adversarial = adversarial + _summed(
                F.cross_entropy(scores_reference, labels, reduction="none"), ~fooled_reference
            )
            apart = _summed(jensen_shannon(scores, scores_reference), ~shared)
            (gradient,) = torch.autograd.grad(
                (self.beta_2 * apart - self.beta_1 * adversarial / 2) / len(images), p
            )
            p = (p.detach() - self.adv_lr * gradient.sign()).clamp_(
                -self.trigger_norm, self.trigger_norm
            )
            if bool(shared.all()):
                break
        return p


def jensen_shannon(first: Tensor, second: Tensor) -> Tensor:
    """Divergence (N,) in nats of the softmax of two sets of logits (N, K)."""
    p, q = (scores.softmax(1).clamp(min=1e-8) for scores in (first, second))
    mixed = (p + q) / 2
    return ((p * p.log() + q * q.log()) / 2 - mixed * mixed.log()).sum(1)


def shared_risk(logits: Tensor, fooled: Tensor, dangerous: Tensor) -> Tensor:
    """L_s: logits (N, K) of perturbed images, the class (N,) that the reference takes them for,
    which (N,) of them count.
    """
    shares = logits.softmax(1)
    to = shares.gather(1, fooled[:, None])[:, 0]
    others = shares.sum(1) - to
    risk = -((1e-6 + others.clamp(max=0.999)).log() + (1 + 1e-6 - to.clamp(min=0.001)).log()) / 2
    return _summed(risk, dangerous) / len(logits)


def _summed(values: Tensor, chosen: Tensor) -> Tensor:
    return (values * chosen).sum()
