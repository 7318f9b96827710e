"""Mode Connectivity Repair (Zhao, Chen, Das, Ramamurthy and Lin, ICLR 2020, 2005.00060).

Two networks of one architecture are connected by a curve of weights along which accuracy stays
high; a backdoor does not survive in the middle of it.

    1. w1: the network that was handed in; w2: the same, fine-tuned on the clean images for
       `ft_epochs`
    2. the curve  w(t) = (1 - t)^2 w1 + 2 t (1 - t) c + t^2 w2,  t in [0, 1];  c is at first the
       middle of w1 and w2
    3. train c alone: CE over the clean images at w(t), t ~ U(0, 1) drawn for every batch
    4. for each t: set w(t), gather the running statistics of every BatchNorm anew over the clean
       images

Departs from the paper: a defender who holds one network makes the other end from it, as usual in
benchmarks. t is chosen on the validation split: going from 0 towards the middle, which is farthest
from both ends, the last t before accuracy falls by more than `acc_ratio` of that at 0. Statistics
are gathered at the ends of the curve, too. Weight decay acts on c, in the authors' code on w(t);
the learning rate falls along a cosine, there it is constant for half of the training and falls
along a line to a hundredth after nine tenths of it.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.func import functional_call

from benchbd.api import (
    CleanSet,
    FineTuning,
    ModelPath,
    Recipe,
    Repair,
    Repaired,
    Sweep,
    device_of,
    fit,
    fork,
    last_within,
    param,
    sweep_accuracies,
    to_float,
)

BATCH = 256
"""Images at a time while statistics are gathered."""


class MCR(FineTuning, Repair):
    """With three bends, that is one point between the ends: a quadratic Bezier curve."""

    api = 1
    results_version = 2

    epochs: int = param(100, "passes in which the curve is trained", ge=0)
    ft_epochs: int = param(100, "passes of fine-tuning that make the other end of the curve", ge=0)
    test_t: float | None = param(
        None,
        "the place on the curve that is taken; unset: chosen on the validation split",
        ge=0,
        le=1,
    )
    t_num: int = param(11, "places on the curve that are measured, the ends among them", ge=2)
    acc_ratio: float = param(
        0.1, "clean accuracy that may be lost, relative to that at t = 0", ge=0, le=1
    )

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Repaired:
        recipe = Recipe.of(self)
        tuning = recipe.model_copy(update={"epochs": self.ft_epochs})
        tuned = fit(copy.deepcopy(model), clean.train, tuning, rng, what="MCR: the other end")
        curve = Curve(model, tuned, fork(rng))
        fit(curve, clean.train, recipe, rng, what="MCR: the curve")
        path = self._path(curve, clean.train.images)
        accuracies = sweep_accuracies(model, path, clean.validation, what="MCR: sweep")
        chosen = self._choose(path.values, accuracies)
        return Repaired(
            path.build(chosen),
            sweep=Sweep(path, accuracies, chosen),
            notes={"t": path.values[chosen]},
        )

    def _path(self, curve: Curve, images: Tensor) -> ModelPath:
        """The networks along the curve; statistics are gathered once for each."""
        evenly = {round(i / (self.t_num - 1), 10) for i in range(self.t_num)}
        values = tuple(sorted(evenly | (set() if self.test_t is None else {self.test_t})))
        buffers: dict[int, dict[str, Tensor]] = {}

        def build(step: int) -> nn.Module:
            network = curve.at(values[step])
            if step not in buffers:
                gather_statistics(network, images)
                buffers[step] = {name: value.clone() for name, value in network.named_buffers()}
            network.load_state_dict(buffers[step], strict=False)
            return network

        return ModelPath("t", values, build)

    def _choose(self, values: tuple[float, ...], accuracies: tuple[float, ...]) -> int:
        if self.test_t is not None:
            return values.index(self.test_t)
        first_half = [
            accuracy for value, accuracy in zip(values, accuracies, strict=True) if value <= 0.5
        ]
        return last_within(first_half, (1 - self.acc_ratio) * accuracies[0])


class Curve(nn.Module):
    """Networks w(t) between `first` and `last`. In training its t is drawn for every batch, else it
    is the middle.
    """

    def __init__(self, first: nn.Module, last: nn.Module, draws: torch.Generator) -> None:
        super().__init__()
        self.network = copy.deepcopy(first).requires_grad_(False)
        ends = [
            {name: value.detach().clone() for name, value in end.named_parameters()}
            for end in (first, last)
        ]
        self.first, self.last, self.draws = ends[0], ends[1], draws
        self.bends = nn.ParameterList(
            (self.first[name] + self.last[name]) / 2 for name in self.first
        )

    def weights(self, t: float) -> dict[str, Tensor]:
        """w(t), by the names of the parameters."""
        points = zip(self.first.items(), self.bends, self.last.values(), strict=True)
        return {
            name: (1 - t) ** 2 * w1 + 2 * t * (1 - t) * c + t**2 * w2
            for (name, w1), c, w2 in points
        }

    def forward(self, images: Tensor) -> Tensor:
        t = float(torch.rand((), generator=self.draws)) if self.training else 0.5
        return functional_call(self.network, self.weights(t), (images,))  # type: ignore[no-any-return]

    @torch.no_grad()
    def at(self, t: float) -> nn.Module:
        """A network with the weights w(t), in eval mode."""
        network = copy.deepcopy(self.network).requires_grad_(True)
        network.load_state_dict(self.weights(t), strict=False)
        return network.eval()


@torch.no_grad()
def gather_statistics(network: nn.Module, images: Tensor) -> None:
    """Set the running statistics of every BatchNorm to those of the images, in float32; the network
    is in eval mode after.
    """
    norms = [
        m
        for m in network.eval().modules()
        if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.running_mean is not None
    ]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over batches, which are of nearly equal size
        norm.train()
    device = device_of(network)
    for batch in images.tensor_split(-(-len(images) // BATCH)) if norms else ():
        network(to_float(batch.to(device)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
