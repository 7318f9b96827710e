"""BTI-DBF (U) (Xu, Huang, Li, Qin and Ren, ICLR 2024): find the trigger by what it leaves alone,
and unlearn it.

Inversion that looks for what is benign first need not know the target, nor try every class.

    0. a generator G, a U-Net, learns for `preround` epochs to give back images x: with P the
       softmax of f, phi the features and d the mean squared error,
           100 * d(G(x), x) while that is above .1, else .01 * d(G(x), x)
           + d(phi(G(x)), phi(x)) - sum P(G(x)) log softmax(P(x))
    then `nround` times:
    1. decouple, on a copy of the network: a mask m = tanh(u) / 2 + 1/2 over the features, u from
       N(0, 1), learned for `mround` epochs:   min over u  CE(h(m phi), y) - CE(h((1 - m) phi), y)
       with h the head, so that m phi is benign and (1 - m) phi is the rest
    2. invert, for `uround` epochs over G:
           d(G(x), x)                              while that is above norm_bound, or the next is
                                                   above feat_bound
           .01 * d(m phi(G(x)), m phi(x)) - d((1 - m) phi(G(x)), (1 - m) phi(x))          else
       and from the second time on + CE(f(G(x)), t), t the class that most of G(x + noise) was
       taken for after the first time
    3. unlearn, for `ul_round` epochs: in each batch z = x, but G(x) for `portion` of the images;
       min over f  CE(f(z), y) + d(phi(x), phi(z))

The network is in training mode while a mask is learned (its statistics move in the copy) and while
it unlearns; in eval mode otherwise. d of images is taken of normalised ones, and G sees such.

Departs from the paper: the features are those before the head, (N, D); in the paper's code they
are maps (N, C, h, w), so that m has a value for each place. A U-Net of four levels takes images of
32 pixels and more; smaller ones have fewer levels. The defender's clean images are 5 % of the
training set, as in the paper. Departs from the code: crops and flips only where asked for.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import (
    Augmentation,
    Classifier,
    CleanSet,
    Diverged,
    Repair,
    Repaired,
    device_of,
    epoch_done,
    fork,
    hardware,
    param,
    track,
)
from benchbd_zoo.defense.parts.passes import Passes
from benchbd_zoo.defense.parts.unet import drawn_unet

Unlearning = Callable[[Tensor, Tensor, Tensor], Tensor]
"""One step, given images (B, C, H, W), the same with some replaced by G's, and labels (B,); its
loss.
"""

EPSILON = 1e-7

LEARNED = 0.1
"""Distance of images and G's below which the identity is learned in predictions and features."""

NOISE = 0.03
"""Deviation of the noise on normalised images that G sees when the target is asked for."""

LEVELS = 4
"""Of the paper's generator."""


class BTIDBF(Augmentation, Repair):
    """Parameters carry the names of the reference implementation. It chooses nothing, so it learns
    from all clean images.
    """

    api = 1
    quick: ClassVar[dict[str, Any]] = {
        "preround": 1,
        "nround": 2,
        "mround": 1,
        "uround": 1,
        "width": 2,
    }

    preround: int = param(50, "epochs in which the generator learns the identity", ge=0)
    width: int = param(32, "channels of the generator's first level", ge=1)
    gen_lr: float = param(1e-3, "learning rate of the generator, by Adam", gt=0)
    nround: int = param(5, "rounds of inverting and unlearning", ge=1)
    mround: int = param(20, "epochs in which a mask is learned", ge=0)
    mask_lr: float = param(0.01, "learning rate of the mask, by Adam", gt=0)
    uround: int = param(30, "epochs of the generator in a round", ge=0)
    norm_bound: float = param(
        0.3, "mean squared change of normalised images that the generator may make", ge=0
    )
    feat_bound: float = param(3.0, "mean squared change of benign features that it may make", ge=0)
    ul_round: int = param(30, "epochs of unlearning in a round", ge=0)
    portion: float = param(0.1, "share of a batch that the generator replaces", ge=0, le=1)
    lr: float = param(1e-4, "learning rate of unlearning, by Adam", gt=0)
    batch_size: int = param(128, "images per step", ge=1)
    shift: int = param(0, "random crops: pixels of zero border", ge=0)

    def repair(self, model: Classifier, clean: CleanSet, rng: torch.Generator) -> Repaired:
        images = clean.all()
        passes = Passes(images, self.batch_size, fork(rng), shift=self.shift, flip=self.flip)
        net = drawn_unet(images.image_shape, self.width, LEVELS, rng)
        inversion = Inversion(self, TriggerGenerator(net, model), passes, fork(rng))
        inversion.learn_the_identity(model.eval())
        step = self.unlearning(model)
        for turn in track(range(self.nround), f"{self.name}: rounds"):
            inversion.run(model)
            self._unlearn(model, step, inversion)
            epoch_done(model.eval(), turn + 1)
        return Repaired(model.eval(), notes={"target": inversion.target})

    def _unlearn(self, model: Classifier, step: Unlearning, inversion: Inversion) -> None:
        """Step 3."""
        model.train()
        for _ in range(self.ul_round):
            for images, labels in inversion.passes.once():
                loss = step(images, inversion.mixed(images), labels)
                if not bool(loss.isfinite()):
                    raise Diverged(
                        f"{self.name}: unlearning diverged: the loss is not a number; lower lr"
                    )

    def unlearning(self, model: Classifier) -> Unlearning:
        """The step of unlearning, with its optimizer, which goes on from round to round."""
        adam = torch.optim.Adam(model.parameters(), lr=self.lr)
        machine = hardware(str(device_of(model)))

        def step(images: Tensor, mixed: Tensor, labels: Tensor) -> Tensor:
            with machine.autocast(images):
                natural, changed = model.features(images), model.features(mixed)
                loss = F.cross_entropy(model.head(changed).float(), labels)
                loss = loss + F.mse_loss(natural.float(), changed.float())
            adam.zero_grad()
            loss.backward()
            adam.step()
            return loss.detach()

        return step


class TriggerGenerator(nn.Module):
    """`net` between images in [0, 1], seen as `model` normalises them."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, model: Classifier) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", model.mean.detach().clone())
        self.register_buffer("std", model.std.detach().clone())
        self.to(device_of(model))

    def forward(self, images: Tensor) -> Tensor:
        drawn: Tensor = self.net((images - self.mean) / self.std)
        return drawn.float() * self.std + self.mean

    def distance(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Mean squared difference of normalised images (B, C, H, W)."""
        return F.mse_loss(images / self.std, drawn / self.std)


class Inversion:
    """Steps 0 to 2. `target` is the class that was found to be attacked, None before the first
    round.
    """

    def __init__(
        self, method: BTIDBF, generator: TriggerGenerator, passes: Passes, rng: torch.Generator
    ) -> None:
        self.method, self.generator, self.passes, self.rng = method, generator, passes, rng
        self.machine = hardware(str(device_of(generator)))
        self.adam = torch.optim.Adam(generator.parameters(), lr=method.gen_lr)
        self.target: int | None = None

    def learn_the_identity(self, model: Classifier) -> None:
        """Step 0."""
        frozen = _frozen(model)
        adam = torch.optim.Adam(self.generator.parameters(), lr=self.method.gen_lr)
        for _ in track(range(self.method.preround), f"{self.method.name}: learning the identity"):
            for images, _labels in self.passes.once():
                with self.machine.autocast(images):
                    loss = self.identity_loss(frozen, images)
                _descend(adam, loss)

    def identity_loss(self, model: Classifier, images: Tensor) -> Tensor:
        drawn = self.generator(images)
        natural, changed = (model.features(batch) for batch in (images, drawn))
        sure, sure_changed = (model.head(part).float().softmax(1) for part in (natural, changed))
        distance = self.generator.distance(images, drawn)
        loss = F.cross_entropy(sure, sure_changed) + F.mse_loss(natural.float(), changed.float())
        return loss + (100 if float(distance.detach()) > LEARNED else 0.01) * distance

    def run(self, model: Classifier) -> None:
        """Steps 1 and 2 for the network as it is now."""
        frozen = _frozen(model)
        mask = self._decouple(frozen)
        for _ in track(range(self.method.uround), f"{self.method.name}: inverting"):
            for images, _labels in self.passes.once():
                with self.machine.autocast(images):
                    loss = self.trigger_loss(frozen, mask, images)
                _descend(self.adam, loss)
        if self.target is None:
            self.target = self._most_frequent(model)

    def _decouple(self, model: Classifier) -> Tensor:
        """Step 1: the mask (D,)."""
        free = torch.randn(model.head.in_features, generator=self.rng).to(model.mean.device)
        free.requires_grad_()
        adam = torch.optim.Adam([free], lr=self.method.mask_lr)
        model.train()
        for _ in range(self.method.mround):
            for images, labels in self.passes.once():
                with self.machine.autocast(images):
                    with torch.no_grad():
                        found = model.features(images)
                    loss = decoupling_loss(model.head, _bounded(free), found.float(), labels)
                _descend(adam, loss)
        model.eval()
        return _bounded(free).detach()

    def trigger_loss(self, model: Classifier, mask: Tensor, images: Tensor) -> Tensor:
        """What the generator descends in step 2."""
        drawn = self.generator(images)
        natural, changed = (model.features(batch) for batch in (images, drawn))
        benign = F.mse_loss((mask * natural).float(), (mask * changed).float())
        rest = F.mse_loss(((1 - mask) * natural).float(), ((1 - mask) * changed).float())
        distance = self.generator.distance(images, drawn)
        too_far = float(distance.detach()) > self.method.norm_bound
        if too_far or float(benign.detach()) > self.method.feat_bound:
            loss = distance
        else:
            loss = 0.01 * benign - rest
        if self.target is None:
            return loss
        wanted = torch.full((len(images),), self.target, device=images.device)
        return loss + F.cross_entropy(model.head(changed).float(), wanted)

    @torch.no_grad()
    def _most_frequent(self, model: Classifier) -> int:
        """The class that most of the generator's images are taken for."""
        taken = []
        for images, _labels in self.passes.once():
            noise = torch.randn(images.shape, generator=self.rng).to(images.device)
            with self.machine.autocast(images):
                drawn = self.generator(images + NOISE * noise * self.generator.std)
                taken.append(model(drawn).argmax(1))
        return int(torch.cat(taken).bincount().argmax())

    @torch.no_grad()
    def mixed(self, images: Tensor) -> Tensor:
        """The batch of step 3: a copy in which `portion` of the images, rounded down, and one more
        are the generator's.
        """
        count = int(self.method.portion * len(images)) + 1
        chosen = torch.randperm(len(images), generator=self.rng)[:count].to(images.device)
        mixed = images.clone()
        with self.machine.autocast(images):
            mixed[chosen] = self.generator(images[chosen])
        return mixed


def decoupling_loss(head: nn.Linear, mask: Tensor, found: Tensor, labels: Tensor) -> Tensor:
    """Step 1's loss of a mask (D,) for features (B, D): low where the masked ones tell the label
    and the rest do not.
    """
    benign, rest = head(mask * found).float(), head((1 - mask) * found).float()
    return F.cross_entropy(benign, labels) - F.cross_entropy(rest, labels)


def _frozen(model: Classifier) -> Classifier:
    return copy.deepcopy(model).eval().requires_grad_(False)


def _bounded(free: Tensor) -> Tensor:
    """From any real number to (0, 1)."""
    return torch.tanh(free) / (2 + EPSILON) + 0.5


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
