"""BAN (Xu, Liu, Koffas, Yu and Picek, NeurIPS 2024, 2405.19928): neurons that are disturbed on
purpose wake a backdoor without its trigger.

    1. phi = maps that leave the last stage, h = what follows; learn a mask M over them in [0, 1]:
           min CE(h(M phi(x)), y) - CE(h((1 - M) phi(x)), y) + mask_lambda |M|_1 / sg(|M|_1)
       by Adam over `rounds` * `batches` batches of clean images; sg takes no gradient. 1 - M is
       left with what the true classes do not need
    2. neuron noise: every scale and shift of a normalisation layer times 1 + d, d from
       U(-eps, eps), then `noise_steps` steps of eps / noise_steps up the CE of a batch, by the
       sign of the gradient
    3. r_c = share of clean images that h((1 - M) phi(x)) under the noise takes for class c:
       in a backdoored network nearly all go to the target, in a sound one they spread
    4. class c is flagged if r_c > `share`

The trigger is never searched for, so its kind does not matter. Mask and noise are learned on the
training part of the clean images, shares are counted on the validation part.

Departs from the paper: step 4 is ours, since the authors' code prints shares and accuracy and
leaves the decision to the reader. In step 1 the network stays in eval mode and M is clipped after
each step, where the code lets statistics of batches move and clips before it. In step 2 a single
batch makes the noise; in the code each batch begins anew, so that only the last one's stays. The
network is in training mode there, as in the code, and its statistics move with the noise. A network
with one stage or none, such as a transformer, has its penultimate features masked.
"""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from benchbd.api import (
    Classifier,
    CleanSet,
    ImageSet,
    ModelDetector,
    Verdict,
    batched,
    device_of,
    fork,
    param,
    to_float,
    track,
)
from benchbd_zoo.defense.parts.cut import Cut, HeadCut, last_maps
from benchbd_zoo.defense.parts.masked_norms import NoisyNorms


class BAN(ModelDetector):
    """Takes one pass of the clean images, steps through what follows the last maps, and
    `noise_steps` steps through the network.
    """

    api = 1
    quick: ClassVar[dict[str, Any]] = {"rounds": 2}

    rounds: int = param(20, "rounds in which the mask is learned", ge=1)
    batches: int = param(20, "batches of a round, drawn with replacement", ge=1)
    batch_size: int = param(128, "images of a batch", ge=1)
    mask_lr: float = param(0.01, "learning rate of the mask", gt=0)
    mask_lambda: float = param(0.75, "weight of the size of the mask", ge=0)
    eps: float = param(0.3, "bound of the noise before it climbs, and what it may climb", ge=0)
    noise_steps: int = param(30, "steps of the noise", ge=1)
    share: float = param(
        0.5, "share of the clean images sent to one class above which it is flagged", gt=0, lt=1
    )

    def inspect(self, model: Classifier, clean: CleanSet, rng: torch.Generator) -> Verdict:
        frozen = copy.deepcopy(model).eval().requires_grad_(False)
        noisy = NoisyNorms(model)
        mask = self._mask(last_maps(frozen, clean.train.images), clean.train, fork(rng))
        self._climb(noisy, clean.train, fork(rng))
        disturbed = noisy.settled()
        cut = last_maps(disturbed, clean.train.images)
        taken = batched(
            lambda images: cut.after((1 - mask) * cut.before(images)),
            clean.validation.images,
            device_of(disturbed),
        ).argmax(1)
        labels = clean.validation.labels.to(taken.device)
        shares = torch.bincount(taken, minlength=clean.train.num_classes).double() / len(taken)
        notes = {
            "accuracy": float((taken == labels).double().mean()),
            "mask_mean": float(mask.mean()),
            "cut": cut.layer,
        }
        return Verdict(shares, shares > self.share, notes=notes)

    def _mask(self, cut: Cut | HeadCut, clean: ImageSet, rng: torch.Generator) -> Tensor:
        """Step 1: M, of the shape of one image's maps. The maps do not change, so they are computed
        once.
        """
        device = device_of(cut.model)
        maps = batched(cut.before, clean.images, device).to(device).float()
        mask = torch.rand(maps.shape[1:], generator=rng).to(device).requires_grad_()
        adam = torch.optim.Adam([mask], lr=self.mask_lr)
        for _ in track(range(self.rounds * self.batches), "BAN: learning the mask"):
            drawn = torch.randint(0, len(maps), (self.batch_size,), generator=rng).to(device)
            loss = self.loss(cut, mask, maps[drawn], clean.labels[drawn])
            adam.zero_grad()
            loss.backward()
            adam.step()
            with torch.no_grad():
                mask.clamp_(0, 1)
        return mask.detach()

    def loss(self, cut: Cut | HeadCut, mask: Tensor, maps: Tensor, labels: Tensor) -> Tensor:
        """The loss of step 1, of maps (B, ...) and labels (B,)."""
        needed = F.cross_entropy(cut.after(mask * maps), labels)
        rest = F.cross_entropy(cut.after((1 - mask) * maps), labels)
        size = mask.abs().sum()
        return needed - rest + self.mask_lambda * size / size.detach().clamp(min=1e-12)

    def _climb(self, noisy: NoisyNorms, clean: ImageSet, rng: torch.Generator) -> None:
        """Step 2, on a batch that is drawn as those of step 1."""
        drawn = torch.randint(0, len(clean), (self.batch_size,), generator=rng)
        drawn = drawn.to(clean.labels.device)
        images, labels = to_float(clean.images[drawn]), clean.labels[drawn]
        noisy.draw_noise(self.eps, rng)
        for _ in range(self.noise_steps):
            loss = F.cross_entropy(noisy.perturbed(images).float(), labels)
            noisy.climb(loss, self.eps / self.noise_steps)
