"""How far did the repair move, and is there a barrier in between? The straight path through the
weights of the backdoored and of a defended model.

    theta(a) = (1 - a) theta_backdoored + a theta_defended,     a from -0.2 to 1.2
    barrier  = largest loss on the segment from 0 to 1, less the larger loss of its two ends
    distance = ||theta_defended - theta_backdoored|| / ||theta_backdoored||, over all weights

No barrier and a short way mean that the repair stays in the valley of the backdoor, from which a
few steps lead back (Min, Qin, Zhang, Shen and Cheng, NeurIPS 2024, 2410.09838, explain by it why
some repairs are superficial).

Between and beyond the two ends, means and variances of each BatchNorm are measured anew on clean
images, since those of the two models, mixed, belong to no network. At the two ends the models are
as they are, so ACC and ASR there are those of the models. A defense that changed the architecture
is left out.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import (
    BACKDOORED,
    Analysis,
    Classifier,
    Findings,
    ImageSet,
    Lines,
    Measure,
    NotApplicable,
    Pairs,
    Scene,
    device_of,
    logits,
    param,
    to_float,
)

PLACES = tuple(step / 10 for step in range(-2, 13))
"""Values of a; 0 is the backdoored model, 1 the defended one."""

GONE = 0.2
"""ASR below which a backdoor counts as gone."""

BATCH = 128
CLEAN_TWIN = "clean twin"


class Path(Analysis):
    """Fifteen forward passes over three sets of images for each defended model."""

    api = 1
    quick: ClassVar = {"images": 16}
    measures: ClassVar = {
        "barrier": Measure(
            "loss on clean images that the path rises by above its worse end", low=0
        ),
        "distance": Measure(
            "length of the way through the weights, by the length of the backdoored weights", low=0
        ),
        "gone_at": Measure(
            f"place on the path from which ASR stays below {100 * GONE:.0f} % up to the defended "
            "model",
            low=0,
            high=1,
        ),
    }

    images: int = param(256, "clean and as many triggered images to measure on", ge=4)
    twin: bool = param(
        False, "whether the path to a clean twin is shown too, which may be trained first"
    )

    def look(self, scene: Scene, rng: torch.Generator) -> Findings:
        backdoored, pairs = scene.models[BACKDOORED], scene.pairs(self.images)
        judged, counted = split(scene.test, self.images, rng)
        ends = {name: model for name, model in scene.models.items() if name != BACKDOORED}
        if self.twin:
            ends[CLEAN_TWIN] = scene.clean_twin().eval()
        alike = {name: m for name, m in ends.items() if same_shape(backdoored, m)}
        if not alike:
            raise NotApplicable(
                "no model beside the backdoored one has the same architecture; name a defense "
                "that repairs it"
            )
        found = {
            name: [measured(m, judged, pairs) for m in between(backdoored, end, counted.images)]
            for name, end in alike.items()
        }
        numbers = {
            name: _numbers(steps) | {"distance": distance(backdoored, alike[name])}
            for name, steps in found.items()
        }
        notes = {"left_out": sorted(ends.keys() - alike.keys())}
        return Findings(numbers, {"steps": _rows(found)}, _pictures(found), notes)


def split(test: ImageSet, count: int, rng: torch.Generator) -> tuple[ImageSet, ImageSet]:
    """Return up to `count` images to measure on, and as many others for the norms, drawn."""
    order = torch.randperm(len(test), generator=rng)
    count = min(count, len(test) // 2)
    return test.subset(order[:count]), test.subset(order[count : 2 * count])


def same_shape(first: nn.Module, second: nn.Module) -> bool:
    """Return whether both have the same weights and buffers by name and shape."""
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(
        value.shape == theirs[name].shape for name, value in ours.items()
    )


def between(start: Classifier, end: Classifier, images: Tensor) -> Iterator[Classifier]:
    """Yield the models of `PLACES`; they are copies, but the two ends. images: uint8, for the
    norms.
    """
    for a in PLACES:
        if a in (0, 1):
            yield (start, end)[int(a)]
        else:
            yield with_own_norms(mixed(start, end, a), images)


@torch.no_grad()
def mixed(start: Classifier, end: Classifier, a: float) -> Classifier:
    """Return theta(a). Buffers that count are those of `start`."""
    model, theirs = copy.deepcopy(start), end.state_dict()
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            value.lerp_(theirs[name].to(value), a)
    return model


@torch.no_grad()
def with_own_norms(model: Classifier, images: Tensor) -> Classifier:
    """Return the model after means and variances of each BatchNorm that keeps them were measured on
    uint8 images, as the mean over batches.
    """
    norms = [
        module
        for module in model.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats
    ]
    if not norms:
        return model
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches
        norm.train()
    for batch in images.split(BATCH):
        model(to_float(batch.to(device_of(model))))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
    return model


def measured(model: Classifier, judged: ImageSet, pairs: Pairs) -> dict[str, float]:
    """Return ACC, ASR, RC and the loss on clean images."""
    of_clean, given = logits(model, judged.images), logits(model, pairs.triggered).argmax(1)
    return {
        "acc": float((of_clean.argmax(1) == judged.labels).double().mean()),
        "asr": float((given == pairs.attacked_labels).double().mean()),
        "rc": float((given == pairs.true_labels).double().mean()),
        "loss": float(F.cross_entropy(of_clean.double(), judged.labels)),
    }


@torch.no_grad()
def distance(start: nn.Module, end: nn.Module) -> float:
    """Return the relative length of the way between the weights of two models."""
    moved = length = 0.0
    for ours, theirs in zip(start.parameters(), end.parameters(), strict=True):
        moved += float((theirs.to(ours).double() - ours.double()).square().sum())
        length += float(ours.double().square().sum())
    return float((moved / length) ** 0.5) if length else 0.0


def _numbers(steps: list[dict[str, float]]) -> dict[str, float]:
    first, last = PLACES.index(0), PLACES.index(1)
    inside = steps[first : last + 1]
    ends = max(inside[0]["loss"], inside[-1]["loss"])
    numbers = {"barrier": max(step["loss"] for step in inside) - ends}
    gone_at = None
    for place, step in reversed(list(zip(PLACES[first : last + 1], inside, strict=True))):
        if step["asr"] >= GONE:
            break
        gone_at = place
    return numbers if gone_at is None else numbers | {"gone_at": gone_at}


def _pictures(found: dict[str, list[dict[str, float]]]) -> dict[str, Lines]:
    axis = "a: 0 is the backdoored model, 1 the other one"
    rates = {
        f"{name}, {kind.upper()}": torch.tensor([step[kind] for step in steps])
        for kind in ("acc", "asr")
        for name, steps in found.items()
    }
    losses = {name: torch.tensor([step["loss"] for step in steps]) for name, steps in found.items()}
    return {
        "rates": Lines(
            PLACES,
            rates,
            axis,
            "share of images",
            "Where ASR falls only close to 1, a small step back wakes the backdoor; where ACC "
            "dips in between, the repair has left the valley of the backdoored model.",
            span=(0, 1),
        ),
        "loss": Lines(
            PLACES,
            losses,
            axis,
            "loss on clean images",
            "A hill between 0 and 1 is the barrier; without one, both models lie in one valley. At "
            "0 and 1 the models have norms of their own, elsewhere measured ones: a jump right "
            "beside an end comes from the norms.",
        ),
    }


def _rows(found: dict[str, list[dict[str, float]]]) -> list[dict[str, object]]:
    return [
        {"model": model, "a": a, **{key: f"{value:.6g}" for key, value in step.items()}}
        for model, steps in found.items()
        for a, step in zip(PLACES, steps, strict=True)
    ]
