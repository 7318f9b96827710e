"""Narcissus (Zeng, Pan, Just, Lyu, Qiu, Jia, CCS 2023, 2204.05255): noise that looks like the
target class, on a handful of its images, labels right.

    1. a surrogate network f is trained on clean images
    2. poi-warm-up: f goes on for `warmup_epochs` on images of the target class alone (RAdam)
    3. delta = argmin over |delta| <= eps of the mean of CE(f(clip(x + delta)), target) over the
       images x of the target class: RAdam from zero, `rounds` passes, f frozen; it ends early where
       there is no slope left
    4. delta is added to a few images of the target class, which keep their label
    5. test images get `magnification` times delta

In 2 and 3 images are cropped and mirrored as the recipe says. In 3 the noise is added afterwards,
and BatchNorm goes on taking the statistics of the batch, as in the authors' code. Numbers of the
optimizer are for pixels from -1 to 1, as there.

Departs from the paper: its surrogate learns another public data set and the target class, since the
attacker has no other images of the victim's data. No such set is downloaded here: the surrogate
learns the training set, which makes this attacker stronger than the paper's; architecture and
recipe are the victim's. The authors poison 25 of the 50,000 images of CIFAR-10, 0.5 % of the class,
the default here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import (
    Batches,
    BuildModel,
    ImageSet,
    PoisoningAttack,
    Recipe,
    batch_sizes,
    clean_model,
    device_of,
    draw_seed,
    fork,
    global_random_state,
    hardware,
    param,
    remembered,
    to_float,
    track,
)

Epoch = Callable[[], Iterator[Tensor]]
"""Gives the images (B, C, H, W) in [0, 1] of the batches of one pass."""


class Narcissus(PoisoningAttack):
    """Clean label: poisoned samples come from the target class alone and keep their label."""

    api = 1
    clean_label = True
    quick: ClassVar[dict[str, Any]] = {"poison_ratio": 0.1, "rounds": 30}

    poison_ratio: float = param(0.005, "share of the target class that is poisoned", ge=0, le=1)
    ratio_of: Literal["dataset", "class"] = param(
        "class",
        "what poison_ratio is a share of: the whole training set, or the target class alone",
    )
    eligible: Literal["target"] = param(
        "target", "which training samples may be poisoned: those of the target class"
    )
    eps: float = param(
        16.0, "largest change of a pixel of a training image, on the scale to 255", gt=0, le=255
    )
    magnification: float = param(
        3.0, "what the noise is multiplied by on test images; they are clipped", gt=0
    )
    warmup_epochs: int = param(5, "epochs of the warm-up on the target class", ge=0)
    warmup_lr: float = param(0.1, "learning rate of the warm-up", gt=0)
    rounds: int = param(1000, "passes over the target class for the noise, at most", ge=1)
    lr: float = param(0.01, "learning rate of the noise, for pixels from -1 to 1", gt=0)
    batch_size: int = param(350, "images per step of the warm-up and of the noise", ge=1)

    def prepare(
        self, train: ImageSet, build_model: BuildModel, recipe: Recipe, rng: torch.Generator
    ) -> dict[str, Tensor]:
        surrogate, seed = clean_model(build_model(), train, recipe), draw_seed(rng)
        own = train.subset(torch.nonzero(train.labels == self.target)[:, 0])
        learning = {
            name: value
            for name, value in self.params.items()
            if name not in ("poison_ratio", "ratio_of", "eligible", "magnification")
        }

        def make() -> dict[str, Tensor]:
            here = own.to(device_of(surrogate))
            batches = Batches(here.images, here.labels, shift=recipe.shift, flip=recipe.flip)
            return {"noise": self._noise(surrogate, batches, seed)}

        crops = {"shift": recipe.shift, "flip": recipe.flip}
        return remembered("narcissus", [surrogate, own, learning, crops, seed], make)

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return images.float().add_(255 * self.magnification * self.trigger["noise"])

    def stamp_poison(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return images.float().add_(255 * self.trigger["noise"])

    def _noise(self, surrogate: nn.Module, own: Batches, seed: int) -> Tensor:
        """Steps 2 and 3: delta (C, H, W) for images in [0, 1]."""
        rng = torch.Generator().manual_seed(seed)
        order, crops, chance = fork(rng), fork(rng), draw_seed(rng)

        def epoch() -> Iterator[Tensor]:
            places = torch.randperm(own.count, generator=order)
            sizes = batch_sizes(own.count, self.batch_size)
            for batch in places[: sum(sizes)].split(sizes):
                yield to_float(own.take(batch, crops)[0])

        with global_random_state(chance):
            warm = self._warmed_up(copy.deepcopy(surrogate), epoch)
            shape = (own.channels, own.height, own.width)
            return self._optimised(warm, epoch, torch.zeros(shape, device=own.labels.device))

    def _warmed_up(self, model: nn.Module, epoch: Epoch) -> nn.Module:
        """Step 2: the model, in training mode, its weights frozen."""
        optimizer = torch.optim.RAdam(model.train().parameters(), lr=self.warmup_lr)
        for _ in range(self.warmup_epochs):
            for images in epoch():
                optimizer.zero_grad(set_to_none=True)
                self._loss(model, images).backward()
                optimizer.step()
        return model.requires_grad_(False)

    def _optimised(self, model: nn.Module, epoch: Epoch, noise: Tensor) -> Tensor:
        """Step 3, from a noise for pixels from -1 to 1: what is found for pixels in [0, 1]."""
        noise, bound = noise.requires_grad_(), 2 * self.eps / 255
        optimizer = torch.optim.RAdam([noise], lr=self.lr)
        for _ in track(range(self.rounds), "Narcissus: optimising the noise"):
            for images in epoch():
                optimizer.zero_grad(set_to_none=True)
                added = noise.clamp(-bound, bound) / 2
                self._loss(model, (images + added).clamp(0, 1)).backward()
                optimizer.step()
            if noise.grad is None or not noise.grad.any():
                break
        return noise.detach().clamp(-bound, bound) / 2

    def _loss(self, model: nn.Module, images: Tensor) -> Tensor:
        with hardware(str(images.device)).autocast(images):
            logits = model(images).float()
        target = torch.full((len(images),), self.target, device=images.device)
        return F.cross_entropy(logits, target)
