"""Blind backdoor (Bagdasaryan and Shmatikov, USENIX Security 2021, 2005.03823): code that computes
the loss is poisoned.

    The attacker's code sees a batch (x, y) and the model f, and returns a loss in place of l_m;
    neither data nor recipe are touched.

    1. l_m = CE(f(x), y); while fewer than `batch_history` batches came before, or the mean l_m of
       the last so many is not below `loss_threshold`, nothing else is done
    2. the trigger is put on copies of the batch in the loop: x* = mu(x), y* = nu(y);
       l_m* = CE(f(x*), y*)
    3. gradients g_m, g_m* of both over the weights, scaled down by `mgda_normalize`
    4. MGDA: a = the share in [0, 1] for which |a g_m + (1 - a) g_m*| is least,
       a = clip((g_m* - g_m) . g_m* / |g_m - g_m*|^2)
           (of two gradients the exact answer)
    5. the loss is a * l_m + (1 - a) * l_m*

    scales: none 1; l2 |g|; loss min(l, 10); loss+ min(l |g|, 10)

mu puts a square of `size` pixels on the image, half of them white and half black in an order drawn
once; nu gives the target (all_to_one) or the class after the own (all_to_all). int(B *
poison_ratio) images of a batch are copied, by default all of them; where that is less than one,
some batches chosen at random have one copy and the others are trained on as they are.

The threshold of 1 and the 1,000 batches are those of the authors' configuration for CIFAR-10, whose
epochs have 391 batches. With `loss_threshold` unset the attack sets in at once.

Departs from the paper: the 1,000 batches are counted in epochs, 1,000 / 391 of them, so that the
attack comes as early in a training with fewer batches, which might be over before so many. Where
one gradient alone is the shortest mixture a is 1 or 0; the authors' code takes 0.999 or 0.001
there. Where the recipe smooths labels, both losses do. The pattern is drawn, not given. Losses that
evade defenses are left out, and so are triggers that need no change of the image and backdoors for
another task. The network is trained from scratch by the recipe. Batch and copies pass through f
together, so that BatchNorm sees the mixture: apart, each half is normalised by itself and the
trained network, which cannot tell them apart beforehand, loses much of its accuracy.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from statistics import fmean
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import (
    BuildModel,
    ImageSet,
    LabelMode,
    NotApplicable,
    Recipe,
    TrainingControlledAttack,
    batch_sizes,
    fit,
    param,
    relabel,
)
from benchbd_zoo.attack.parts.shares import shares

Scale = Literal["none", "l2", "loss", "loss+"]

HISTORY = 1000 / 391
"""Epochs over which the authors' code for CIFAR-10 takes the mean loss: 1,000 batches of 128 of its
50,000 images.
"""

MOST, EPSILON = 10.0, 1e-5
"""The largest scale of a gradient that depends on its loss, and what keeps a scale from being zero.
"""


class Blind(TrainingControlledAttack):
    """The square is stored; the weights of the two losses are found anew for every batch."""

    api = 1
    results_version = 2

    poison_ratio: float = param(
        1.0, "share of every batch that is seen with the trigger besides without", ge=0, le=1
    )
    label_mode: LabelMode = param(
        "all_to_one", "who is taken for what: every class for the target, or each for the next"
    )
    size: int = param(3, "side of the square in pixels", ge=1)
    margin: int = param(
        1, "pixels between the square and the left and upper edges of the image", ge=0
    )
    mgda_normalize: Scale = param(
        "loss+", "what each gradient is divided by before they are weighed"
    )
    loss_threshold: float | None = param(
        1.0, "mean loss on clean images below which the attack sets in; unset: at once", gt=0
    )
    batch_history: int | None = param(
        None,
        "last batches over which that mean is taken, before which there is no attack; unset: those "
        "of 1000/391 epochs",
        ge=1,
    )

    def attacked_labels(self, labels: Tensor, num_classes: int) -> Tensor:
        return relabel(labels, num_classes, self.label_mode, self.target)

    def prepare(
        self, train: ImageSet, build_model: BuildModel, recipe: Recipe, rng: torch.Generator
    ) -> dict[str, Tensor]:
        side, (_, height, width) = self.size, train.image_shape
        if self.margin + side > min(height, width):
            raise NotApplicable(
                f"a square of {side} pixels and a margin of {self.margin} do not fit images of "
                f"{height}x{width}"
            )
        white = torch.randperm(side**2, generator=rng) < math.ceil(side**2 / 2)
        return {"square": white.reshape(side, side)}

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return self._synthesise(images, 255)

    def train(
        self, model: nn.Module, clean_train: ImageSet, recipe: Recipe, rng: torch.Generator
    ) -> nn.Module:
        sizes = batch_sizes(len(clean_train), recipe.batch_size)
        split = shares(self.name, min(sizes), rng, self.poison_ratio)
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        history = deque[float](maxlen=self.batch_history or max(1, round(HISTORY * len(sizes))))

        def entropy(logits: Tensor, of: Tensor) -> Tensor:
            return F.cross_entropy(logits.float(), of, label_smoothing=recipe.label_smoothing)

        def loss(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
            count, _ = split(len(images))
            if not (count and self._sets_in(history)):
                main = entropy(network(images), labels)
                history.append(main.item())
                return main
            # not `network`: what torch.compile makes of it cannot be walked back through twice
            both = model(torch.cat([images, self._synthesise(images[:count], 1)]))
            found = both.tensor_split([len(images)])
            given = labels, self.attacked_labels(labels[:count], clean_train.num_classes)
            main, backdoor = map(entropy, found, given)
            history.append(main.item())
            return balanced(main, backdoor, weights, self.mgda_normalize)

        return fit(model, clean_train, recipe, rng, loss=loss, what="training on blind")

    def _sets_in(self, history: deque[float]) -> bool:
        """Step 1: whether the last losses on clean images allow the attack."""
        if self.loss_threshold is None:
            return True
        return len(history) == history.maxlen and fmean(history) < self.loss_threshold

    def _synthesise(self, images: Tensor, white: int) -> Tensor:
        """mu, for images (N, C, H, W) on the scale from 0 to `white`."""
        place = slice(self.margin, self.margin + self.size)
        stamped = images.clone()
        stamped[:, :, place, place] = (self.trigger["square"] * white).to(images)
        return stamped


def balanced(main: Tensor, backdoor: Tensor, weights: Sequence[Tensor], scale: Scale) -> Tensor:
    """Steps 3 to 5: a scalar with the value and the gradient of the weighed loss.

    The gradients of both losses are at hand, so that their sum is handed on as it is and not
    computed once more.
    """
    g_main = torch.autograd.grad(main, weights, retain_graph=True, materialize_grads=True)
    g_backdoor = torch.autograd.grad(backdoor, weights, materialize_grads=True)
    g1, g2 = (
        torch.cat([part.float().flatten() for part in gradient])
        for gradient in (g_main, g_backdoor)
    )
    share = main_share(g1, g2, main.detach(), backdoor.detach(), scale)
    value = share * main.detach() + (1 - share) * backdoor.detach()
    total = share * g1 + (1 - share) * g2
    slope = torch.stack(
        [
            (weight * part).sum()
            for weight, part in zip(weights, unflattened(total, weights), strict=True)
        ]
    ).sum()
    return value + (slope - slope.detach())


def main_share(g1: Tensor, g2: Tensor, loss1: Tensor, loss2: Tensor, scale: Scale) -> Tensor:
    """a: the weight of the first of two losses, from their gradients (P,) and values."""
    first, second = g1 / _scale(g1, loss1, scale), g2 / _scale(g2, loss2, scale)
    apart = first - second
    best = ((second - first) @ second) / (apart @ apart)
    return torch.where(best.isfinite(), best, torch.full_like(best, 0.5)).clamp(0, 1)


def _scale(gradient: Tensor, loss: Tensor, scale: Scale) -> Tensor:
    size = gradient.norm()
    if scale == "none":
        return torch.ones_like(loss)
    sizes: dict[Scale, Tensor] = {
        "l2": size,
        "loss": loss.clamp(max=MOST),
        "loss+": (loss * size).clamp(max=MOST),
    }
    return sizes[scale] + EPSILON


def unflattened(flat: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """A vector cut into pieces of the shapes of `like`."""
    pieces = flat.split([weight.numel() for weight in like])
    return [piece.reshape(weight.shape) for piece, weight in zip(pieces, like, strict=True)]
