"""Do channels belong to the poison? For each channel, the training images that excite it most.

    top(k) = the K images with the largest mean activation of channel k over its places
    K      = number of poisoned samples among those looked at, at most 100
    share  = poisoned samples among top(k) / K

A channel of which more than half of the top images are poisoned answers to the trigger before it
answers to anything else. By chance the share is that of poisoned samples in the training set.
Layers are the ends of stages and the penultimate features.

The picture shows the channels with the largest shares in the backdoored model's last stage, each
with the three images that excite it most there; every row shows what that channel of that model
gives out on the same image.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from benchbd.api import (
    BACKDOORED,
    Analysis,
    Classifier,
    Findings,
    Measure,
    NotApplicable,
    Overlay,
    Picture,
    Scene,
    State,
    logits,
    param,
    watching_outputs,
)
from benchbd_zoo.analysis.parts.layers import FEATURES, layer_means
from benchbd_zoo.analysis.parts.samples import Samples, drawn, samples

MOST = 100
"""Images of a channel at most, however many are poisoned."""

CHANNELS, IMAGES = 4, 3
"""Channels in the picture, and images of each."""


class Activating(Analysis):
    """One forward pass over training images for each model."""

    api = 1
    quick: ClassVar = {"images": 100}
    measures: ClassVar = {
        "channels": Measure(
            "share of the channels of all layers of whose top images more than half are poisoned",
            low=0,
            high=1,
        ),
        "last_channels": Measure(
            "the same of the penultimate features", low=0, high=1, better="lower"
        ),
        "highest": Measure(
            "the largest share of poisoned images among the top images of any channel",
            low=0,
            high=1,
        ),
        "chance": Measure("share of poisoned samples among all that were looked at", 0, 1),
    }

    images: int = param(2000, "training images, drawn", ge=10)

    def look(self, scene: Scene, rng: torch.Generator) -> Findings:
        scene.poisoned_set()  # test images are no substitute: their share of poison is not known
        known = samples(scene)
        places = drawn(torch.arange(len(known.labels)), self.images, rng)
        poisoned = known.states[places] == State.POISONED
        if not bool(poisoned.any()):
            raise NotApplicable(f"none of {len(places)} training images drawn is poisoned")
        images = known.pick(places)
        layers = {name: layer_means(model, images) for name, model in scene.models.items()}
        shares = {
            name: {layer: poison_shares(h, poisoned) for layer, h in found.items()}
            for name, found in layers.items()
        }
        numbers = {
            name: _numbers(found) | {"chance": float(poisoned.double().mean())}
            for name, found in shares.items()
        }
        pictures = _tiles(scene, known, places, layers[BACKDOORED], shares[BACKDOORED])
        return Findings(numbers, {"channels": _rows(shares)}, pictures)


def poison_shares(h: Tensor, poisoned: Tensor) -> Tensor:
    """Return for each channel the share (C,) of `poisoned` (N,) among the images that excite it
    most, by mean activations h (N, C).
    """
    count = min(MOST, int(poisoned.sum()))
    return poisoned.double()[h.topk(count, dim=0).indices].mean(0)


def _numbers(shares: dict[str, Tensor]) -> dict[str, float]:
    every = torch.cat(list(shares.values()))
    return {
        "channels": float((every > 0.5).double().mean()),
        "last_channels": float((shares[FEATURES] > 0.5).double().mean()),
        "highest": float(every.max()),
    }


def _tiles(
    scene: Scene,
    known: Samples,
    places: Tensor,
    means: dict[str, Tensor],
    shares: dict[str, Tensor],
) -> dict[str, Picture]:
    """Return the picture of the last stage; nothing where the network has no stage."""
    *stages, _ = means
    if not stages:
        return {}
    layer = stages[-1]
    channels = shares[layer].topk(min(CHANNELS, len(shares[layer]))).indices
    top = means[layer][:, channels].topk(min(IMAGES, len(places)), dim=0).indices
    images = known.pick(places[top.T.flatten()])
    of = channels.repeat_interleave(len(top))
    rows = {
        name: maps
        for name, model in scene.models.items()
        if (maps := channel_maps(model, layer, images, of)) is not None
    }
    titles = [
        f"channel {channel}\n{State(int(known.states[place])).name.lower()}"
        for channel, place in zip(of.tolist(), places[top.T.flatten()].tolist(), strict=True)
    ]
    caption = (
        f"Channels of {layer} that belong most to the poison, each with the training images that "
        "excite it most; bright places are where the channel is active, and a channel of the "
        "backdoor lights up on the trigger."
    )
    return {"images": Overlay(images, rows, titles, caption)}


def channel_maps(model: Classifier, layer: str, images: Tensor, channels: Tensor) -> Tensor | None:
    """Return for each of the images (N, C, H, W) what one channel of `layer`, of `channels` (N,),
    gives out above 0, enlarged to (N, H, W); None where the model has no such channels.
    """
    if layer not in dict(model.named_modules()):
        return None
    seen: list[Tensor] = []
    with watching_outputs(model, [layer], lambda _, output: seen.append(output.float().cpu())):
        logits(model, images)
    maps = torch.cat(seen)
    if maps.ndim != 4 or maps.shape[1] <= int(channels.max()):
        return None
    small = maps[torch.arange(len(images)), channels][:, None].relu()
    return F.interpolate(small, images.shape[2:], mode="bilinear")[:, 0]


def _rows(shares: dict[str, dict[str, Tensor]]) -> list[dict[str, object]]:
    return [
        {"model": model, "layer": layer, "channel": channel, "poisoned": f"{share:.6g}"}
        for model, found in shares.items()
        for layer, of in found.items()
        for channel, share in enumerate(of.tolist())
    ]
