"""Cognitive Distillation (Huang, Ma, Erfani and Bailey, ICLR 2023, 2301.10908): how little of an
input keeps the output.

    1. every image gets a mask m in [0, 1] of its own, (1, H, W), m = (tanh(theta) + 1) / 2, theta
       at first 1
    2. x_cp = x * m + (1 - m) * d, d a random colour, another one in each step
    3. min over m of  mean |f(x) - f(x_cp)| + gamma * ||m||_1 + beta * TV(m)
           `num_steps` of Adam, betas (.1, .1)
       TV(m) = sum of squared differences of neighbours / (H * W)
    4. a small ||m||_1 is suspicious: a trigger takes few pixels

Suspicion is -||m||_1. The images of a batch are one problem whose terms are added up, so that each
goes its own way. Images are in [0, 1] for both terms of step 3, and the network normalises both.

Departs from the paper: the colours are drawn once and are the same for all images, so that a score
depends on nothing but its image.
"""

from __future__ import annotations

import copy

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from benchbd.api import CleanSet, InputDetector, Scorer, device_of, hardware, param, to_float, track


class Distilling(BaseModel):
    """What it takes to find masks, of inputs and of training samples alike; names as in the
    reference code.
    """

    lr: float = param(0.1, "learning rate of the masks", gt=0)
    num_steps: int = param(100, "steps of Adam", ge=1)
    gamma: float = param(0.01, "weight of the mask's size", ge=0)
    beta: float = param(1.0, "weight of its total variation", ge=0)
    at_once: int = param(
        256, "images whose masks are learned together; bounds memory, not results", ge=1
    )

    def fit(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Scorer:
        channels = clean.train.images.shape[1]
        return Masks(model, torch.rand(self.num_steps, channels, 1, 1, generator=rng), self)


class CognitiveDistillation(Distilling, InputDetector):
    """As many passes and gradients for every input as there are steps."""

    api = 1


class Masks:
    """`colours` (S, C, 1, 1) are d, one for each step."""

    def __init__(self, model: nn.Module, colours: Tensor, options: Distilling) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.device = device_of(self.model)
        self.colours, self.options = colours.to(self.device), options

    def score(self, images: Tensor) -> Tensor:
        batches = images.split(self.options.at_once)
        if len(batches) > 1:
            return -torch.cat(
                [sizes(self.learned(batch)) for batch in track(batches, "learning masks")]
            )
        return -sizes(self.learned(images))

    def learned(self, images: Tensor) -> Tensor:
        """The masks (B, 1, H, W) of uint8 images."""
        x = to_float(images.to(self.device))
        theta = torch.ones_like(x[:, :1]).requires_grad_()
        optimizer = torch.optim.Adam([theta], lr=self.options.lr, betas=(0.1, 0.1))
        with torch.no_grad():
            wanted = self._output(x)
        for colour in self.colours:
            theta.grad = torch.autograd.grad(self._loss(x, theta, colour, wanted), theta)[0]
            optimizer.step()
        return mask_of(theta.detach())

    def _loss(self, x: Tensor, theta: Tensor, colour: Tensor, wanted: Tensor) -> Tensor:
        """Step 3, added up over the images."""
        m = mask_of(theta)
        distance = (wanted - self._output(x * m + (1 - m) * colour)).abs().mean(1)
        return (distance + self.options.gamma * sizes(m) + self.options.beta * variation(m)).sum()

    def _output(self, images: Tensor) -> Tensor:
        with hardware(str(self.device)).autocast(images):
            return self.model(images).float()  # type: ignore[no-any-return]


def mask_of(theta: Tensor) -> Tensor:
    return (theta.tanh() + 1) / 2


def sizes(masks: Tensor) -> Tensor:
    """||m||_1 (B,) of masks (B, 1, H, W), on the device of the masks."""
    return masks.sum((1, 2, 3))


def variation(masks: Tensor) -> Tensor:
    """TV (B,) of masks (B, 1, H, W)."""
    squares = masks.diff(dim=2).square().sum((1, 2, 3)) + masks.diff(dim=3).square().sum((1, 2, 3))
    return squares / masks[0].numel()
