"""Which triggers work that were never trained? ASR and RC while the trigger is changed: a repair
that only moved the backdoor, or only dulled it, shows here.

    x' - x: the change that the trigger makes to the image x
    strength    x + s (x' - x), s from 0 to 1.5; s = 1 is the trigger itself
    half        a random half of the pixels that the trigger changes, another half for each image
    exchanged   x + the change of another image: whether triggers belong to their image, as in
                input-aware attacks (Nguyen and Tran 2020, 2010.08138)
    shifted     the change moved by 1, 2 or 4 pixels, mean of the four directions; what leaves the
                image is lost
    processed   x' after JPEG of quality 90, 70 and 50, a blur, a crop by an eighth at each side,
                and in ten levels of grey or colour

All are of the attacked class of the pair, over the same pairs. At s = 0 ASR is the rate at which
clean images of other classes are taken for the attacked one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from benchbd.api import Analysis, Findings, Lines, Measure, Pairs, Scene, param, predict, to_float
from benchbd_zoo.defense.parts.corruption import defocus_blur, drawn, jpeg_compression

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
SHIFTS = (1, 2, 4)
QUALITIES = (90, 70, 50)
LEVELS = 10


class TriggerResponse(Analysis):
    """About thirty forward passes over the pairs for each model."""

    api = 1
    quick: ClassVar = {"images": 16}
    measures: ClassVar = {
        "area": Measure(
            "mean ASR while the strength of the trigger grows from 0 to 1",
            low=0,
            high=1,
            better="lower",
        ),
        "half": Measure("ASR of half of the trigger", low=0, high=1, better="lower"),
        "exchanged": Measure("ASR of another image's trigger", low=0, high=1, better="lower"),
        "shifted": Measure("ASR of shifted triggers, mean", low=0, high=1, better="lower"),
        "processed": Measure(
            "ASR of triggered images that were compressed, blurred, cropped or coarsened, mean",
            low=0,
            high=1,
            better="lower",
        ),
        "highest": Measure(
            "the highest ASR of any change but the trigger itself", low=0, high=1, better="lower"
        ),
    }

    images: int = param(256, "pairs of test images without and with the trigger", ge=2)

    def look(self, scene: Scene, rng: torch.Generator) -> Findings:
        pairs = scene.pairs(self.images)
        rates: dict[str, dict[str, list[tuple[float, float]]]] = {}
        for kind, images in variations(pairs, rng):
            for name, model in scene.models.items():
                rate = _rates(predict(model, images), pairs)
                rates.setdefault(name, {}).setdefault(kind, []).append(rate)
        found = {
            name: {kind: _mean(each) for kind, each in kinds.items()}
            for name, kinds in rates.items()
        }
        pictures = {"strength": _over_strength(found), "variations": _over_variations(found)}
        numbers = {name: _numbers(kinds) for name, kinds in found.items()}
        return Findings(numbers, {"rates": _rows(found)}, pictures)


def variations(pairs: Pairs, rng: torch.Generator) -> Iterator[tuple[str, Tensor]]:
    """Yield the name of each change and the images, uint8 (N, C, H, W); the four directions of a
    shift have one name.
    """
    change = pairs.triggered.float() - pairs.clean.float()
    for strength in STRENGTHS:
        yield _strength(strength), _added(pairs.clean, strength * change)
    kept = torch.rand((len(change), 1, *change.shape[2:]), generator=rng) < 0.5
    yield "half", _added(pairs.clean, change * kept)
    yield "exchanged", _added(pairs.clean, change.roll(1, 0))
    for pixels in SHIFTS:
        for down, right in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            moved = shifted(change, pixels * down, pixels * right)
            yield f"shifted by {pixels}", _added(pairs.clean, moved)
    yield from _processed(pairs.triggered, rng)


def _processed(images: Tensor, rng: torch.Generator) -> Iterator[tuple[str, Tensor]]:
    x, fields = to_float(images), drawn(tuple(images.shape[1:]), rng, images.device)
    for quality in QUALITIES:
        yield f"JPEG {quality}", _as_pixels(jpeg_compression(x, fields, quality))
    yield "blurred", _as_pixels(defocus_blur(x, fields, 1.0))
    top, left = (max(1, side // 8) for side in x.shape[2:])
    middle = x[:, :, top:-top, left:-left]
    yield "cropped", _as_pixels(F.interpolate(middle, x.shape[2:], mode="bilinear"))
    yield f"{LEVELS} levels", _as_pixels((x * (LEVELS - 1)).round() / (LEVELS - 1))


def shifted(change: Tensor, down: int, right: int) -> Tensor:
    """Return the change (N, C, H, W) moved by whole pixels, 0 where nothing comes from."""
    height, width = change.shape[2:]
    reach = max(abs(down), abs(right))
    padded = F.pad(change, (reach,) * 4)
    top, left = reach - down, reach - right
    return padded[:, :, top : top + height, left : left + width]


def _strength(strength: float) -> str:
    return f"strength {strength:g}"


def _added(clean: Tensor, change: Tensor) -> Tensor:
    return (clean.float() + change).round().clamp(0, 255).to(torch.uint8)


def _as_pixels(x: Tensor) -> Tensor:
    return (255 * x).round().clamp(0, 255).to(torch.uint8)


def _rates(given: Tensor, pairs: Pairs) -> tuple[float, float]:
    """Return ASR and RC."""
    return (
        float((given == pairs.attacked_labels).double().mean()),
        float((given == pairs.true_labels).double().mean()),
    )


def _mean(rates: list[tuple[float, float]]) -> tuple[float, float]:
    attacked, right = zip(*rates, strict=True)
    return sum(attacked) / len(rates), sum(right) / len(rates)


def _numbers(found: dict[str, tuple[float, float]]) -> dict[str, float]:
    attacked = {kind: rate for kind, (rate, _) in found.items()}
    grown = torch.tensor([attacked[_strength(s)] for s in STRENGTHS if s <= 1]).double()
    moved = [attacked[f"shifted by {pixels}"] for pixels in SHIFTS]
    processed = [attacked[kind] for kind in _processings()]
    return {
        "area": float(torch.trapezoid(grown, dx=STRENGTHS[1])),
        "half": attacked["half"],
        "exchanged": attacked["exchanged"],
        "shifted": sum(moved) / len(moved),
        "processed": sum(processed) / len(processed),
        "highest": max(rate for kind, rate in attacked.items() if kind != _strength(1)),
    }


def _processings() -> list[str]:
    return [*(f"JPEG {q}" for q in QUALITIES), "blurred", "cropped", f"{LEVELS} levels"]


def _over_strength(found: dict[str, dict[str, tuple[float, float]]]) -> Lines:
    curves = {}
    for number, ending in enumerate(("ASR", "RC")):
        for name, kinds in found.items():
            rates = [kinds[_strength(s)][number] for s in STRENGTHS]
            curves[f"{name}, {ending}"] = torch.tensor(rates)
    return Lines(
        STRENGTHS,
        curves,
        "strength of the trigger; 1 is as trained",
        "share of images",
        "A backdoor that is gone has an ASR near 0 at every strength, and an RC that falls no "
        "faster than that of a sound network; one that was only dulled wakes up beyond 1.",
        span=(0, 1),
    )


def _over_variations(found: dict[str, dict[str, tuple[float, float]]]) -> Lines:
    left_out = {_strength(s) for s in STRENGTHS if s != 1}
    kinds = [kind for kind in next(iter(found.values())) if kind not in left_out]
    return Lines(
        ["as trained" if kind == _strength(1) else kind for kind in kinds],
        {name: torch.tensor([of[kind][0] for kind in kinds]) for name, of in found.items()},
        "what is done to the trigger or to the triggered image",
        "ASR",
        "High values beside a low one at `as trained` mean that the repair has only moved the "
        "backdoor; lines join points to guide the eye.",
        span=(0, 1),
    )


def _rows(found: dict[str, dict[str, tuple[float, float]]]) -> list[dict[str, object]]:
    return [
        {"model": model, "change": kind, "asr": f"{attacked:.6g}", "rc": f"{right:.6g}"}
        for model, kinds in found.items()
        for kind, (attacked, right) in kinds.items()
    ]
