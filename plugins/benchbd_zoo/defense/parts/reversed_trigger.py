"""Triggers reversed from a network: for each class the smallest patch that sends every image there
(Wang et al., S&P 2019).

The classes do not know of each other, so all of them are one problem: masks (K, H, W), patterns (K,
C, H, W), and one step of Adam, which works entry by entry, serves them all. Costs, counters and the
best mask are kept for each class.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import device_of, fork, hardware, to_float, track

EPSILON = 1e-7


@dataclass(frozen=True)
class Search:
    """How long and how hard is searched; the meanings are those of the parameters of
    `neural_cleanse`.
    """

    steps: int
    mini_batches: int
    batch_size: int
    mask_lr: float
    init_cost: float
    attack_succ_threshold: float
    patience: int
    cost_multiplier: float
    early_stop: bool
    early_stop_threshold: float
    early_stop_patience: int
    at_once: int


@dataclass(frozen=True, eq=False)
class ReversedTriggers:
    """masks (K, H, W) and patterns (K, C, H, W) in [0, 1] on the device of the network; found,
    cost, steps: (K,) on the CPU.

    found: whether any mask reached the threshold; where none did, mask and pattern are the last
    ones.
    """

    masks: Tensor
    patterns: Tensor
    found: Tensor
    cost: Tensor
    steps: Tensor

    def norms(self) -> Tensor:
        """L1 norm (K,) of each mask; the whole image where no trigger was found. float64 on the
        CPU.
        """
        sizes = self.masks.double().sum((1, 2)).cpu()
        return torch.where(self.found, sizes, float(self.masks[0].numel()))


def reverse(
    model: nn.Module, images: Tensor, targets: Tensor, search: Search, rng: torch.Generator
) -> ReversedTriggers:
    """The smallest trigger for each of `targets` (K,), over uint8 `images` (N, C, H, W).

    `model` is in eval mode and its parameters are frozen. The draws do not depend on `targets`.
    """
    draws = fork(rng)
    problem = _Problem(model, targets, images.shape[1:], search, fork(rng))
    for _ in track(range(search.steps), "reversing triggers"):
        hits = [
            problem.descend(images[_draw(len(images), search.batch_size, draws)])
            for _ in range(search.mini_batches)
        ]
        rates, sizes = torch.stack(hits).mean(0).cpu()
        problem.judge(rates, sizes)
        if not bool(problem.active.any()):
            break
    return problem.answer()


def _draw(count: int, size: int, rng: torch.Generator) -> Tensor:
    return torch.randint(0, count, (size,), generator=rng)


class _Problem:
    """All classes at once; `active` (K,) are those whose search goes on."""

    def __init__(
        self,
        model: nn.Module,
        targets: Tensor,
        shape: torch.Size,
        search: Search,
        rng: torch.Generator,
    ) -> None:
        self.model, self.search, self.device = model, search, device_of(model)
        self.machine = hardware(str(self.device))
        self.targets = targets.to(self.device)
        (channels, height, width), count = shape, len(targets)
        start = torch.rand(1 + channels, height, width, generator=rng).expand(count, -1, -1, -1)
        start = torch.atanh((start - 0.5) * (2 - EPSILON)).to(self.device)
        self.mask, self.pattern = (
            part.clone().requires_grad_() for part in (start[:, 0], start[:, 1:])
        )
        self.adam = torch.optim.Adam([self.mask, self.pattern], lr=search.mask_lr, betas=(0.5, 0.9))
        self.schedule = CostSchedule(count, search)
        self.active = torch.ones(count, dtype=torch.bool)
        self.best_norm = torch.full((count,), torch.inf)
        self.best = [part.detach() for part in self.triggers()]
        self.steps = torch.zeros(count, dtype=torch.int64)

    def triggers(self) -> tuple[Tensor, Tensor]:
        """Masks (K, H, W) and patterns (K, C, H, W) in [0, 1]."""
        return _bounded(self.mask), _bounded(self.pattern)

    def descend(self, images: Tensor) -> Tensor:
        """One step on uint8 images (B, C, H, W), the same ones for all classes: hit rates and mask
        sizes (2, K).
        """
        batch = to_float(images.to(self.device))
        figures = torch.zeros(2, len(self.targets), device=self.device)
        self.adam.zero_grad()
        for group in (
            torch.nonzero(self.active)[:, 0]
            .to(self.device)
            .split(max(1, self.search.at_once // len(batch)))
        ):
            figures[:, group] = self._backward(batch, group)
        self.adam.step()
        return figures

    def _backward(self, batch: Tensor, group: Tensor) -> Tensor:
        """Gradients of the classes in `group` (G,); their hit rates and mask sizes (2, G)."""
        mask, pattern = _bounded(self.mask[group]), _bounded(self.pattern[group])
        stamped = (
            stamp(batch, mask, pattern).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        )
        wanted = self.targets[group].repeat_interleave(len(batch))
        with self.machine.autocast(stamped):
            logits = self.model(stamped).float()
        error = F.cross_entropy(logits, wanted, reduction="none").view(len(group), -1).mean(1)
        size = mask.sum((1, 2))
        (error + self.schedule.cost.to(self.device)[group] * size).sum().backward()
        hits = (logits.argmax(1) == wanted).view(len(group), -1).float().mean(1)
        return torch.stack([hits, size.detach()])

    def judge(self, rates: Tensor, sizes: Tensor) -> None:
        """At the end of a mini-epoch: keep the smallest mask that works, move the costs, stop what
        is done.
        """
        self.steps += self.active
        working = self.active & (rates >= self.search.attack_succ_threshold)
        better = working & (sizes < self.best_norm)
        self.best_norm = torch.where(better, sizes, self.best_norm)
        untried = self.active & self.best_norm.isinf()
        with torch.no_grad():
            for kept, now in zip(self.best, self.triggers(), strict=True):
                kept[better | untried] = now[better | untried]
        stop = self.schedule.advance(working, self.best_norm)
        if self.search.early_stop:
            self.active &= ~stop

    def answer(self) -> ReversedTriggers:
        masks, patterns = (
            part.clamp(0, 1) for part in self.best
        )  # EPSILON lets them leave the range by a rounding error
        return ReversedTriggers(
            masks, patterns, self.best_norm.isfinite(), self.schedule.cost, self.steps
        )


class CostSchedule:
    """The weight of the mask's size, (K,): zero until a class succeeds, then up while it does and
    down while it fails.
    """

    def __init__(self, count: int, search: Search) -> None:
        self.search = search
        self.cost = torch.zeros(count)
        self.rising, self.falling, self.settled, self.stale = torch.zeros(
            4, count, dtype=torch.int64
        )
        self.went_up, self.went_down = torch.zeros(2, count, dtype=torch.bool)
        self.last_best = torch.full((count,), torch.inf)

    def advance(self, working: Tensor, best: Tensor) -> Tensor:
        """Take in whether each class succeeded (K,) and its smallest mask so far (K,); which
        classes are done (K,).
        """
        improved = best < self.search.early_stop_threshold * self.last_best
        self.stale = torch.where(best.isfinite() & ~improved, self.stale + 1, 0)
        self.last_best = torch.minimum(best, self.last_best)
        done: Tensor = (
            self.went_up & self.went_down & (self.stale >= self.search.early_stop_patience)
        )
        self._move(working)
        return done

    def _move(self, working: Tensor) -> None:
        patience, up = self.search.patience, self.search.cost_multiplier
        self.settled = torch.where((self.cost == 0) & working, self.settled + 1, 0)
        begins = self.settled >= patience
        self.cost = torch.where(begins, self.search.init_cost, self.cost)
        self.rising = torch.where(working, torch.where(begins, 0, self.rising) + 1, 0)
        self.falling = torch.where(working, 0, self.falling + 1)
        higher, lower = self.rising >= patience, self.falling >= patience
        self.cost = torch.where(
            higher, self.cost * up, torch.where(lower, self.cost / up**1.5, self.cost)
        )
        self.rising, self.falling = (
            torch.where(higher, 0, self.rising),
            torch.where(lower, 0, self.falling),
        )
        self.went_up, self.went_down = (
            (self.went_up & ~begins) | higher,
            (self.went_down & ~begins) | lower,
        )


def stamp(images: Tensor, masks: Tensor, patterns: Tensor) -> Tensor:
    """(1 - m) x + m p for images (B, C, H, W), masks (K, H, W) and patterns (K, C, H, W): (K, B, C,
    H, W).
    """
    m = masks[:, None, None]
    return (1 - m) * images + m * patterns[:, None]


def _bounded(free: Tensor) -> Tensor:
    """From any real number to (0, 1)."""
    return torch.tanh(free) / (2 - EPSILON) + 0.5
