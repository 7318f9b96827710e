"""Neural Attention Distillation (Li, Lyu, Koren, Lyu, Li and Ma, ICLR 2021, 2101.05930): look where
a tuned teacher looks.

    1. teacher: the backdoored network, fine-tuned on clean images for `te_epochs`; frozen from then
       on
    2. A(F) = sum_c |F_c|^p / || sum_c |F_c|^p ||_2 of the map F at the end of a stage
    3. student: the backdoored network, trained on  CE(f(x), y) + sum_l beta_l * MSE(A_l of teacher,
       A_l of student)

Both train at `lr` for `lr_epochs` and at a tenth of it after. The stages are the last three between
which the spatial size changes; a network with two has terms for beta2 and beta3, and other layers
can be named by `layers`. In a vision transformer the size never changes, so there they must be
named; of tokens (N, T, C) the map is that over the T tokens.

Its last epoch is the answer; it chooses nothing, so it needs no validation split.

Departs from the paper: a clean set of less than `epoch_images` is passed several times in an epoch.
Momentum is plain, in the authors' code it is Nesterov's.
"""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import (
    CleanSet,
    ConfigError,
    Descent,
    NotApplicable,
    Recipe,
    Repair,
    Repaired,
    fit,
    fork,
    logits,
    named_layer,
    param,
    watching_outputs,
)
from benchbd_zoo.defense.parts.attention import attention, stages
from benchbd_zoo.defense.parts.tuning import epoch_of


class NAD(Descent, Repair):
    """Parameters carry the names of the reference implementations."""

    api = 1
    quick: ClassVar[dict[str, Any]] = {"epoch_images": 1}

    beta1: float = param(500.0, "weight of the first of three stages", ge=0)
    beta2: float = param(1000.0, "weight of the second", ge=0)
    beta3: float = param(1000.0, "weight of the last", ge=0)
    p: float = param(2.0, "power of the activations in an attention map", gt=0)
    layers: tuple[str, ...] | None = param(
        None,
        "up to three layers to compare, front first; unset: the ends of the last three stages",
        min_length=1,
        max_length=3,
    )
    te_epochs: int = param(10, "epochs in which the teacher is tuned", ge=0)
    epochs: int = param(20, "epochs in which the student is trained", ge=0)
    batch_size: int = param(64, "images per step", ge=1)
    lr: float = param(0.1, "learning rate of the first epochs", gt=0)
    epoch_images: int = param(
        1000, "images of an epoch at least; a smaller clean set is passed several times in it", ge=1
    )
    lr_epochs: int = param(2, "epochs at that rate; a tenth of it after", ge=0)
    weight_decay: float = param(1e-4, "L2 penalty", ge=0)

    def repair(self, model: nn.Module, clean: CleanSet, rng: torch.Generator) -> Repaired:
        weights = self._weights(model, clean.all().images[:1])
        recipe, images = Recipe.of(self), epoch_of(clean.all(), self.epoch_images)
        tuning = recipe.model_copy(update={"epochs": self.te_epochs})
        teacher = fit(
            copy.deepcopy(model),
            images,
            tuning,
            fork(rng),
            course=self._rate,
            what="NAD: tuning the teacher",
        )
        distill = _Distillation(teacher.requires_grad_(False), weights, self.p)
        student = fit(
            model,
            images,
            recipe,
            fork(rng),
            loss=distill,
            course=self._rate,
            what="NAD: distilling",
        )
        return Repaired(student, notes={"layers": weights})

    def _rate(self, done: int, steps: int) -> float:
        return 1.0 if done < self.lr_epochs * steps else 0.1

    def _weights(self, model: nn.Module, image: Tensor) -> dict[str, float]:
        """The layers to compare, each with its weight; the last ones count if there are fewer than
        three.
        """
        if self.layers is None:
            layers = _last_stages(model, image)
        else:
            layers = [_with_map(model, named_layer(model, name), image) for name in self.layers]
        return dict(zip(layers, (self.beta1, self.beta2, self.beta3)[-len(layers) :], strict=True))


class _Distillation:
    """Step 3's loss; the weights of both networks' maps are by layer."""

    def __init__(self, teacher: nn.Module, weights: dict[str, float], p: float) -> None:
        self.teacher, self.weights, self.p = teacher, weights, p

    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        scores, maps = self._attentive(model, images)
        with torch.no_grad():
            _, wanted = self._attentive(self.teacher, images)
        distance = sum(
            weight * F.mse_loss(maps[layer], wanted[layer])
            for layer, weight in self.weights.items()
        )
        return F.cross_entropy(scores.float(), labels) + distance

    def _attentive(self, model: nn.Module, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits, and the attention map (N, places) of every layer."""
        maps: dict[str, Tensor] = {}

        def record(layer: str, output: Tensor) -> None:
            maps[layer] = attention(
                output.clone(), self.p
            )  # a copy, for the next layer may work in place

        with watching_outputs(model, self.weights, record):
            return model(images), maps


def _last_stages(model: nn.Module, image: Tensor) -> list[str]:
    found = stages(model, image)
    if len(found) < 2:
        there = (
            ", ".join(f"{height}x{width} at {name}" for name, (height, width) in found.items())
            or "none"
        )
        raise NotApplicable(
            "the spatial size of the network's maps never changes, so it has no stages (maps: "
            f"{there}); name layers by `layers`"
        )
    return list(found)[-3:]


def _with_map(model: nn.Module, layer: str, image: Tensor) -> str:
    """`layer`, if it runs once and gives out a map or tokens."""
    shapes: list[tuple[int, ...]] = []
    with watching_outputs(
        model, [layer], lambda _, output: shapes.append(tuple(getattr(output, "shape", ())))
    ):
        logits(model, image)
    if len(shapes) == 1 and len(shapes[0]) in (3, 4):
        return layer
    there = " and ".join(str(shape) for shape in shapes) or "nothing, for it does not run"
    raise ConfigError(
        f"nad: expected {layer!r} to run once and give out maps (N, C, H, W) or tokens (N, T, C), "
        f"it gave {there}; "
        f"stages here: {', '.join(stages(model, image)) or 'none'}"
    )
