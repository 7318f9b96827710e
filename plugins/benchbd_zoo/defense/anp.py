"""Adversarial Neuron Pruning (Wu and Wang, NeurIPS 2021, 2110.14430).

Neurons that carry a backdoor are those that react most to adversarial changes of their weights.

    1. every channel of every normalisation layer gets a mask m in [0, 1], at first 1
    2. d, xi ~ U(-eps, eps); `anp_steps` times: d, xi <- d, xi + (eps / steps) * sign(grad CE)
       with scale * (m + d) and shift * (1 + xi)                      perturbed network
    3. m <- m - lr * grad [alpha * CE(clean) + (1 - alpha) * CE(perturbed)], clipped to [0, 1]
    4. after `nb_iter` rounds: prune, that is zero the scale, where m is below a threshold

The network stays in training mode while the masks are learned, so running statistics of the copy move; what is
pruned is the network that was handed in. As in the paper's code d and xi are not projected back.

Departs from the paper: the threshold is the largest for which accuracy on the validation split, at it and at
every one before it, stays within `acc_ratio`; reference code chose it by the test triggers. The sweep begins with
the threshold 0, at which nothing is pruned. Layers other than BatchNorm with a scale (LayerNorm, GroupNorm) are
masked in the same way.
"""

from __future__ import annotations

import copy
import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from benchbd.api import (
    Batches,
    CleanSet,
    PruningPath,
    Repair,
    Repaired,
    Sweep,
    device_of,
    epoch_done,
    fork,
    hardware,
    last_within,
    norm_layers,
    param,
    path_by_number,
    path_by_threshold,
    sweep_accuracies,
    to_float,
    track,
)


class ANP(Repair):
    """Parameters carry the names of the reference implementation."""

    api = 1

    anp_eps: float = param(0.4, "size of the perturbation, relative to each weight", ge=0)
    anp_steps: int = param(1, "steps of the perturbation", ge=1)
    anp_alpha: float = param(0.2, "weight of the loss on the unperturbed network", ge=0, le=1)
    lr: float = param(0.2, "learning rate of the masks", gt=0)
    momentum: float = param(0.9, "momentum of the masks", ge=0, lt=1)
    nb_iter: int = param(2000, "mask updates, one batch each", ge=1)
    batch_size: int = param(128, "images per update, drawn with replacement", ge=1)
    shift: int = param(1, "random crops: pixels of zero border", ge=0)
    flip: bool = param(False, "mirror half of the images left to right")
    pruning_by: Literal["threshold", "number"] = param("threshold", "prune by mask value, or by count of channels")
    pruning_max: float = param(0.90, "end of the sweep: a threshold, or a share of all channels", gt=0, le=1)
    pruning_step: float = param(0.05, "step of the sweep, in the same unit", gt=0, le=1)
    pruning_number: float | None = param(
        None, "fixed threshold, or fixed number of channels; unset: chosen on the validation split", ge=0
    )
    acc_ratio: float = param(0.1, "clean accuracy that may be lost, relative to that before pruning", ge=0, le=1)
    print_every: int = param(500, "updates between two lines of the log, and two points of the curve along the way", ge=1)

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Repaired:
        masks, log = self._learn_masks(model, clean, rng)
        path = self._path(masks)
        accuracies = sweep_accuracies(model, path, clean.validation)
        chosen = self._choose(path, accuracies)
        return Repaired(
            path.at(model, chosen),
            sweep=Sweep(path, accuracies, chosen),
            notes={"pruned": path.cuts[chosen], "of": len(path.units), path.axis: path.values[chosen], "log": log},
            tensors={f"mask.{layer}": mask for layer, mask in masks.items()},
        )

    def _learn_masks(
        self, model: nn.Module, clean: CleanSet, rng: torch.Generator
    ) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
        """Masks (C,) per layer after `nb_iter` rounds, and a line of the log every `print_every`."""
        network = copy.deepcopy(model).train()
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        masked = _MaskedNorms(network)
        machine = hardware(str(device_of(model)))
        draws, crops = fork(rng), fork(rng)
        batches = Batches(clean.train.images, clean.train.labels, shift=self.shift, flip=self.flip)
        optimizer = torch.optim.SGD(masked.masks.values(), lr=self.lr, momentum=self.momentum)
        log = []
        for iteration in track(range(1, self.nb_iter + 1), "ANP: learning masks"):
            drawn = torch.randint(0, len(clean.train), (self.batch_size,), generator=draws)
            images, labels = batches.take(drawn, crops)
            with machine.autocast(images):
                loss = self._update(masked, optimizer, to_float(images), labels, draws)
            if iteration % self.print_every == 0:
                log.append({"iteration": iteration, "loss": float(loss)})
                epoch_done(masked, iteration)
        return masked.values(), log

    def _update(
        self, masked: _MaskedNorms, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor, rng: torch.Generator
    ) -> Tensor:
        """Steps 2 and 3."""
        masked.draw_noise(self.anp_eps, rng)
        for _ in range(self.anp_steps if self.anp_eps else 0):
            masked.climb(F.cross_entropy(masked.perturbed(images).float(), labels), self.anp_eps / self.anp_steps)
        perturbed = F.cross_entropy(masked.perturbed(images).float(), labels)
        natural = F.cross_entropy(masked(images).float(), labels)
        loss = self.anp_alpha * natural + (1 - self.anp_alpha) * perturbed
        masked.descend(loss, optimizer)
        return loss.detach()

    def _path(self, masks: dict[str, Tensor]) -> PruningPath:
        """All thresholds, or numbers, that are tried; a fixed one is among them."""
        steps = math.floor(self.pruning_max / self.pruning_step + 1e-9)
        sweep = {round(i * self.pruning_step, 10) for i in range(steps + 1)}
        fixed = set() if self.pruning_number is None else {self.pruning_number}
        if self.pruning_by == "threshold":
            return path_by_threshold(masks, sorted(sweep | fixed), "scale")
        total = sum(len(mask) for mask in masks.values())
        numbers = {round(share * total) for share in sweep} | {int(number) for number in fixed}
        return path_by_number(masks, sorted(numbers), "scale")

    def _choose(self, path: PruningPath, accuracies: tuple[float, ...]) -> int:
        """The fixed step, or the last before validation accuracy first falls below what `acc_ratio` allows."""
        fixed = self.pruning_number
        if fixed is None:
            return last_within(accuracies, (1 - self.acc_ratio) * accuracies[0])
        return min(range(len(path)), key=lambda step: abs(path.values[step] - fixed))


class _MaskedNorms(nn.Module):
    """A network whose normalisation layers scale by weight * (m + d) and shift by bias * (1 + xi)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        layers = norm_layers(network)
        for layer in layers.values():
            if isinstance(layer, nn.GroupNorm):
                layer.register_forward_pre_hook(_contiguous)
        self.weights = {name: layer.get_parameter("weight") for name, layer in layers.items()}
        self.biases = {name: layer.get_parameter("bias") for name, layer in layers.items() if layer.bias is not None}
        self.masks = {name: torch.ones_like(weight).requires_grad_() for name, weight in self.weights.items()}
        self.scale_noise: dict[str, Tensor] = {}
        self.shift_noise: dict[str, Tensor] = {}

    def values(self) -> dict[str, Tensor]:
        return {name: mask.detach().clone() for name, mask in self.masks.items()}

    def draw_noise(self, eps: float, rng: torch.Generator) -> None:
        def uniform(like: Tensor) -> Tensor:
            return ((2 * torch.rand(like.shape, generator=rng) - 1) * eps).to(like.device).requires_grad_()

        self.scale_noise = {name: uniform(mask) for name, mask in self.masks.items()}
        self.shift_noise = {name: uniform(bias) for name, bias in self.biases.items()}

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the masked, unperturbed network."""
        return self._called(images, self.masks, {})

    def perturbed(self, images: Tensor) -> Tensor:
        return self._called(images, {name: mask + self.scale_noise[name] for name, mask in self.masks.items()}, self.shift_noise)

    def _called(self, images: Tensor, scale: dict[str, Tensor], shift: dict[str, Tensor]) -> Tensor:
        """Logits with every layer's weight times `scale` and its bias times 1 + `shift`."""
        changed = {f"{name}.weight": self.weights[name] * factor for name, factor in scale.items()}
        changed |= {f"{name}.bias": self.biases[name] * (1 + noise) for name, noise in shift.items()}
        return functional_call(self.network, changed, (images,))  # type: ignore[no-any-return]

    def climb(self, loss: Tensor, step: float) -> None:
        """Move the noise up the loss by the sign of its gradient."""
        noise = [*self.scale_noise.values(), *self.shift_noise.values()]
        gradients = torch.autograd.grad(loss, noise, materialize_grads=True)
        with torch.no_grad():
            for part, gradient in zip(noise, gradients, strict=True):
                part.add_(step * gradient.sign())

    def descend(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Move the masks down the loss and clip them to [0, 1]."""
        gradients = torch.autograd.grad(loss, list(self.masks.values()), materialize_grads=True)
        for mask, gradient in zip(self.masks.values(), gradients, strict=True):
            mask.grad = gradient
        optimizer.step()
        with torch.no_grad():
            for mask in self.masks.values():
                mask.clamp_(0, 1)


def _contiguous(layer: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    """PyTorch crashes in the backward pass of GroupNorm on a CPU over channels-last maps that need no gradient."""
    return (inputs[0].contiguous(),)
