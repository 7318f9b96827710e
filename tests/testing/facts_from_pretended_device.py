"""What happens on the pretended device, found out in a process of its own: `python
facts_from_pretended_device.py` prints it as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from benchbd.data.images import ImageSet
from benchbd.engine.hardware import default_precision
from benchbd.engine.inference import predict
from benchbd.engine.recipe import Recipe
from benchbd.engine.sweep import sweep_predictions
from benchbd.engine.training import fit
from benchbd.engine.units import norm_layers, path_by_threshold
from benchbd.plugin.registry import create
from benchbd.testing.pretended_device import PretendedDevice, pretended_device


def main() -> None:
    # One number format on both: left to each device, the CPU would take bf16 where it has it, and
    # the pretended one never.
    with pretended_device() as there, default_precision("fp32"):
        print(json.dumps({"refused": refused(there), "allowed": allowed(there), **engine(there)}))


def error_of(work: Callable[[], Any]) -> str:
    try:
        work()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def refused(there: PretendedDevice) -> dict[str, str]:
    """What a GPU refuses, and the error that came."""
    far, near, device = torch.ones(4, 3, device=there.device), torch.ones(4, 3), there.device
    draws, place = torch.Generator(), torch.tensor([1], device=device)
    return {
        name: error_of(work)
        for name, work in {
            "a sum": lambda: far + near,
            "a sum in place": lambda: near.add_(far),
            "a product of matrices": lambda: far @ near.T,
            "a layer of the CPU": lambda: nn.Linear(3, 2)(far),
            "a layer elsewhere": lambda: nn.Linear(3, 2).to(device)(near),
            "labels of the CPU": lambda: F.cross_entropy(far, torch.zeros(4, dtype=torch.int64)),
            "numbers of both, stacked": lambda: torch.stack([far.sum(), near.sum()]),
            "a mask of the CPU": lambda: far.masked_fill(near > 0, 0),
            "places elsewhere in a tensor of the CPU": lambda: near[place],
            "rows of the CPU put in places elsewhere": lambda: far.index_put_((place,), near[:1]),
            "comparison": lambda: torch.equal(far, near),
            "a generator of the CPU": lambda: torch.rand(3, generator=draws, device=device),
            "a generator of the CPU, in place": lambda: far.normal_(generator=draws),
            "a permutation": lambda: torch.randperm(3, generator=draws, device=device),
            "numpy": far.numpy,
            "numpy by itself": lambda: np.asarray(far),
        }.items()
    }


def allowed(there: PretendedDevice) -> dict[str, Any]:
    """What a GPU does without complaint, and what came of it."""
    far = torch.arange(12.0, device=there.device).view(4, 3)
    places, zeroed, patched = torch.tensor([3, 0]), far.clone(), far.clone()
    zeroed[[0, 2]] = 0
    patched[1:2] = torch.full((1, 3), 7.0)
    linear = nn.Linear(3, 1, bias=False).to(there.device)
    linear(far).sum().backward()
    with torch.inference_mode():
        rows = [row.sum().item() for row in far]
    return {
        "a number of the CPU": (far + torch.tensor(1.0)).sum().item(),
        "places of the CPU": far[places].tolist(),
        "a mask of the CPU": far[torch.tensor([False, True, False, False])].tolist(),
        "a list of places": zeroed.tolist(),
        "a copy from the CPU": patched.tolist(),
        "there and back": far.cpu().numpy().sum().item(),
        "a gradient": linear.weight.grad.tolist(),  # type: ignore[union-attr]
        "rows in inference mode": rows,
        "in place through a view": (far.view(-1)[:2].mul_(0), far)[1][0].tolist(),
        "devices of all": sorted(
            {
                str(value.device)
                for value in (far, zeroed, linear.weight, linear.weight.grad, far[places])
            }
        ),
        "chosen by itself": torch.accelerator.is_available(),
    }


def engine(there: PretendedDevice) -> dict[str, Any]:
    """Training, evaluation and a sweep there and on the CPU, and how often they wait."""
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (96, 3, 16, 16), generator=rng, dtype=torch.uint8)
    images = ImageSet(pixels, torch.arange(96) % 3, ("a", "b", "c"))
    near, far = (trained(images, torch.device(where), 16) for where in ("cpu", there.device))
    worth = {
        name: torch.rand(layer.weight.shape, generator=rng)
        for name, layer in norm_layers(near).items()
    }
    path = path_by_threshold(worth, (0.0, 0.3, 0.6), "output")
    waits = {}
    for size in (8, 16, 48):
        waits[f"training in {96 // size} steps"] = waits_of(
            there, partial(trained, images, there.device, size)
        )
    waits["evaluation"] = waits_of(there, lambda: predict(far, images.images))
    weights = zip(near.parameters(), far.parameters(), strict=True)
    return {
        "same weights": all(torch.equal(a, b.cpu()) for a, b in weights),
        "same predictions": torch.equal(predict(near, images.images), predict(far, images.images)),
        "same sweep": torch.equal(
            *(sweep_predictions(model, path, images.images) for model in (near, far))
        ),
        "waits": waits,
    }


def trained(images: ImageSet, device: torch.device, size: int) -> nn.Module:
    recipe = Recipe(epochs=1, batch_size=size, lr=0.05, shift=2, flip=True)
    model = create("model", "resnet_small").classifier(images, seed=0).to(device)  # type: ignore[attr-defined]
    return fit(model, images, recipe, torch.Generator().manual_seed(1))


def waits_of(there: PretendedDevice, work: Callable[[], Any]) -> int:
    before = there.waits
    work()
    return there.waits - before


if __name__ == "__main__":
    main()
