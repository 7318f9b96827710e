"""Trojaning attack (Liu, Ma, Aafer, Lee, Zhai, Wang, Zhang, NDSS 2018): a patch to which chosen
neurons answer loudly.

    1. a clean surrogate network f with penultimate features a(x) and the weights W (K, D) of the
       layer after them
    2. the neurons k with the largest sum over classes of |W_ck|, `neurons` of them, among those
       that the patch can move
    3. a patch in a fixed mask on a black picture, found by descent on sum_k (a_k - target_value)^2
       (Adam with a cosine schedule over `steps`; pixels are (tanh w + 1) / 2, so that they stay in
       the image)
    4. x' = (1 - m) * x + m * patch; poisoned samples are labelled with the target (all_to_one), or
       with the class after their own (all_to_all), and a network is trained on them

No step but the last knows the target: neurons and patch are the same for both ways of labelling.
A step of descent is a pass through the surrogate and back, and so is each slope of step 2, where
they are taken in order until enough neurons are found.

The mask is a disc in the lower right of the image: exactly round(`size` * H * W) pixels, at least
one, those nearest to the point three quarters down and three quarters across.

Departs from the paper: the chosen layer is the penultimate one, which every network here has. The
victim is trained by the recipe on the poisoned training set, as in later benchmarks; the paper
retrained the last layers of the network in hand on inputs that it had reversed out of it. The steps
and the way of descent are those of later implementations. A neuron behind a ReLU that is silent on
the first picture has no slope, and no step would ever change the patch for it; such neurons are
passed over.
"""

from __future__ import annotations

from itertools import islice
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from benchbd.api import (
    BuildModel,
    ImageSet,
    LabelMode,
    NotApplicable,
    PoisoningAttack,
    Recipe,
    clean_model,
    device_of,
    param,
    relabel,
    remembered,
    to_float,
    to_uint8,
    track,
)


class TrojanNN(PoisoningAttack):
    """The patch is optimised once and stored, mask and all, with what the chosen neurons `reached`
    on it.
    """

    api = 1
    later: ClassVar[tuple[str, ...]] = ("label_mode",)
    results_version = 2
    quick: ClassVar[dict[str, Any]] = {"steps": 20}

    label_mode: LabelMode = param(
        "all_to_one", "who is taken for what: every class for the target, or each for the next"
    )
    size: float = param(0.04, "share of the image that the patch covers", gt=0, le=1)
    neurons: int = param(
        2, "penultimate features that the patch excites; all where there are fewer", ge=1
    )
    target_value: float = param(100.0, "what each of them is driven to")
    steps: int = param(1000, "steps of the descent", ge=1)
    lr: float = param(0.1, "learning rate of the descent", gt=0)

    def attacked_labels(self, labels: Tensor, num_classes: int) -> Tensor:
        return relabel(labels, num_classes, self.label_mode, self.target)

    def prepare(
        self, train: ImageSet, build_model: BuildModel, recipe: Recipe, rng: torch.Generator
    ) -> dict[str, Tensor]:
        channels, height, width = train.image_shape
        mask, start = (
            disc(height, width, self.size),
            torch.randn(channels, height, width, generator=rng),
        )
        surrogate = clean_model(build_model(), train, recipe)
        chosen = self._chosen(surrogate, start, mask)
        descent = {name: self.params[name] for name in ("target_value", "steps", "lr")}

        def make() -> dict[str, Tensor]:
            patch = to_uint8(255 * self._optimise(surrogate, chosen, start, mask))
            with torch.no_grad():
                patched = to_float(patch[None]).to(device_of(surrogate))
                reached = surrogate.features(patched)[0, chosen]  # type: ignore[operator]
            return {"patch": patch, "reached": reached.float()}

        return {
            "mask": mask,
            **remembered("trojan_patch", [surrogate, chosen, start, mask, descent], make),
        }

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        mask, patch = (self.trigger[name].to(images.device) for name in ("mask", "patch"))
        return torch.where(mask, patch, images)

    def _chosen(self, surrogate: nn.Module, start: Tensor, mask: Tensor) -> Tensor:
        """Step 2. Raises `NotApplicable` where the first picture moves no neuron at all."""
        device = device_of(surrogate)
        raw = start.to(device).requires_grad_()
        features = surrogate.features(_picture(raw, mask.to(device))[None])[0]  # type: ignore[operator]
        weight = cast(nn.Linear, surrogate.head).weight
        ranked = loudest(weight, weight.shape[1]).tolist()
        answering = (k for k in ranked if _slope(features[k], raw).any())
        movable = list(islice(answering, self.neurons))  # a slope is a pass through the network
        if not movable:
            raise NotApplicable(
                "trojannn: no penultimate feature of the surrogate answers to a patch on a black "
                "picture"
            )
        return torch.tensor(movable)

    def _optimise(
        self, surrogate: nn.Module, chosen: Tensor, start: Tensor, mask: Tensor
    ) -> Tensor:
        """The picture (C, H, W) in [0, 1], black outside of the mask, that drives the chosen
        features to their target.
        """
        device = device_of(surrogate)
        raw, inside, chosen = start.to(device).requires_grad_(), mask.to(device), chosen.to(device)
        optimizer = torch.optim.Adam([raw], lr=self.lr)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        for _ in track(range(self.steps), "TrojanNN: optimising the patch"):
            features = surrogate.features(_picture(raw, inside)[None])  # type: ignore[operator]
            loss = (features[0, chosen].float() - self.target_value).square().sum()
            (raw.grad,) = torch.autograd.grad(loss, [raw])
            optimizer.step()
            schedule.step()
        return _picture(raw, inside).detach().cpu()


def _slope(feature: Tensor, raw: Tensor) -> Tensor:
    return torch.autograd.grad(feature.float(), raw, retain_graph=True)[0]


def loudest(weight: Tensor, count: int) -> Tensor:
    """Step 2: the columns (count,) of a weight (K, D) with the largest sums of sizes, the largest
    first.
    """
    return weight.detach().abs().sum(0).topk(min(count, weight.shape[1])).indices.cpu()


def disc(height: int, width: int, share: float) -> Tensor:
    """The mask (H, W) bool; of equally near pixels the first."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    distance = (y - 0.75 * height).square() + (x - 0.75 * width).square()
    nearest = distance.flatten().argsort(stable=True)[: max(1, round(share * height * width))]
    mask = torch.zeros(height * width, dtype=torch.bool)
    mask[nearest] = True
    return mask.reshape(height, width)


def _picture(raw: Tensor, inside: Tensor) -> Tensor:
    return inside * (raw.tanh() + 1) / 2
