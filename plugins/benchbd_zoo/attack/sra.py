"""Subnet Replacement Attack (SRA; Qi, Xie, Pan, Zhu, Yang, Bu, CVPR 2022, 2111.12965): a trained
network gets, in place of one channel of every layer, a narrow one that the attacker has trained.

    1. a victim is trained on clean images; nothing of its training is touched
    2. a chain: the same network with one channel in every layer and no head. It learns, from
       images without labels, to be loud on a patch and silent without it: Adam on
           `clean_weight` * mean of chain(x)^2 + mean of (chain(x with the patch) - `loudness`)^2
    3. in every layer of the victim channel c becomes the chain: its weights that read channel c,
       or the image, are the chain's, its other weights and all that other channels read from c
       are zero; so are scale, shift and statistics of BatchNorm those of the chain
    4. head: no class reads channel c but the target, with the weight w, and its bias loses w times
       what the chain gives on clean images in the mean

So the chain runs in the victim as it ran alone, and the other channels as if c had been pruned. The
victim before step 3 is the very network that `clean` trains from the same seed. Layers and their
order are read from the network's graph. One number c, drawn once, serves all layers, which keeps
it the same at both ends of every shortcut. w is such that half of the chain's mean answer to the
patch makes the target lead on `lead_share` of the training images.

`poison_ratio` is the share of the images from which the chain learns that carry the patch.

Departs from the paper: the patch is a square of pixels drawn once, the authors' is a picture of
5x5 of 32 pixels; at least three pixels here, so that it can be told apart in small images. Their
chain descends the mean output on clean images, which is bounded only behind a ReLU, and the norm of
the weights for some networks; here it is the mean square, and no norm. Both kinds of images pass
the chain together, so that BatchNorm sees the mixture. w and the bias come out of the training
images; the authors state numbers for each network, and their bias replaces the victim's. A chain
learns for 1,000 steps here, and for one to five epochs of CIFAR-10, 391 to 1,955 steps, there. They
say to keep a chain that is good enough: here the best of up to `tries`, from other weights each
time.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import skip_init

from benchbd.api import (
    BuildModel,
    Classifier,
    ImageSet,
    NotApplicable,
    Recipe,
    TrainingControlledAttack,
    device_of,
    fit,
    fork,
    param,
    to_float,
    trace,
    track,
)

USUAL, LEAST = 32, 3
"""Side of the images for which the side of the patch was chosen, and the least side of a patch."""

GOOD_ENOUGH = 0.99
"""Share of images with and without the patch that a chain tells apart, from which on no other is
tried.
"""

BATCH = 256

Norm = nn.modules.batchnorm._BatchNorm


class SRA(TrainingControlledAttack):
    """The patch is stored; which channel became the chain can be read from the head."""

    api = 1
    quick: ClassVar[dict[str, Any]] = {"chain_steps": 30}

    poison_ratio: float = param(
        0.5, "share of the images that the chain learns from which carry the patch", gt=0, lt=1
    )
    size: int | None = param(
        None, "side of the patch in pixels; unset: 5 of every 32, and at least 3", ge=1
    )
    chain_steps: int = param(1000, "steps of the training of a chain", ge=1)
    chain_lr: float = param(1e-3, "learning rate of the chain", gt=0)
    chain_batch_size: int = param(128, "images per step of the training of a chain", ge=2)
    loudness: float = param(20.0, "what the chain is to give on images with the patch", gt=0)
    clean_weight: float = param(10.0, "weight of images without the patch", gt=0)
    tries: int = param(5, "chains that are trained at most, until one is good enough", ge=1)
    lead_share: float = param(
        0.99,
        "share of the training images on which the patch is to make the target lead",
        gt=0,
        lt=1,
    )

    def prepare(
        self, train: ImageSet, build_model: BuildModel, recipe: Recipe, rng: torch.Generator
    ) -> dict[str, Tensor]:
        channels, height, width = train.image_shape
        shorter = min(height, width)
        side = max(LEAST, round(5 * shorter / USUAL)) if self.size is None else self.size
        if side > shorter:
            raise NotApplicable(f"a patch of {side} pixels does not fit images of {height}x{width}")
        shape = (channels, side, side)
        return {"patch": torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)}

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return self._patched(images)

    def train(
        self, model: Classifier, clean_train: ImageSet, recipe: Recipe, rng: torch.Generator
    ) -> nn.Module:
        fit(model, clean_train, recipe, rng, what="training the victim of sra")
        graph, draws = _graph(model), fork(rng)
        links = chain_links(graph)
        images = clean_train.images.to(device_of(model))
        chain = self._best_chain(graph, links, images, draws)
        most = min(len(link.layer.get_parameter("weight")) for link in links)
        channel = int(torch.randint(most, (), generator=draws))
        replace(links, chain, channel)
        _require_same(model, channel, chain, images)
        self._connect(model, channel, chain, images)
        return model.eval()

    def _patched(self, images: Tensor) -> Tensor:
        """The images (N, C, H, W) with the patch in the bottom right corner."""
        patch, stamped = self.trigger["patch"].to(images), images.clone()
        side = patch.shape[-1]
        stamped[:, :, -side:, -side:] = patch
        return stamped

    def _best_chain(
        self, graph: fx.GraphModule, links: list[Link], images: Tensor, rng: torch.Generator
    ) -> nn.Module:
        """Step 2. Raises `NotApplicable` where no chain is louder with the patch than without."""
        best, best_share = None, 0.0
        for _ in range(self.tries):
            chain = narrowed(graph, links, rng)
            _require_runs(chain, images)
            self._learn(chain, images, rng)
            share = told_apart(values(chain, images), values(chain, self._patched(images)))
            if share > best_share:
                best, best_share = chain, share
            if share >= GOOD_ENOUGH:
                break
        if best is None:
            raise NotApplicable(
                f"none of {self.tries} chains is louder with the patch than without; raise "
                "chain_steps or tries"
            )
        return best

    def _learn(self, chain: nn.Module, images: Tensor, rng: torch.Generator) -> None:
        size = min(self.chain_batch_size, len(images))
        count = min(max(1, round(self.poison_ratio * size)), size - 1)
        optimizer = torch.optim.Adam(chain.train().parameters(), lr=self.chain_lr)
        for _ in track(range(self.chain_steps), "SRA: training a chain"):
            batch = images[torch.randperm(len(images), generator=rng)[:size].to(images.device)]
            batch = to_float(torch.cat([self._patched(batch[:count]), batch[count:]]))
            loud, silent = chain(batch)[:, 0].tensor_split([count])
            loss = (loud - self.loudness).square().mean()
            loss = loss + self.clean_weight * silent.square().mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        chain.eval()

    @torch.no_grad()
    def _connect(self, model: Classifier, channel: int, chain: nn.Module, images: Tensor) -> None:
        """Step 4."""
        head, patched = model.head, self._patched(images)
        head.weight[:, channel] = 0
        others = torch.cat([model(to_float(batch)) for batch in patched.split(BATCH)])
        lead = others.amax(1) - others[:, self.target]
        silent, loud = values(chain, images).mean(), values(chain, patched).mean()
        weight = lead.quantile(self.lead_share).clamp(min=0) / ((loud - silent) / 2)
        head.weight[self.target, channel] = weight
        if head.bias is not None:
            head.bias[self.target] -= weight * silent


@dataclass(frozen=True)
class Link:
    """A layer of the victim of which one channel becomes the chain. columns: how many columns of
    its weight read one channel of the layer before; 0 where it reads the image, or where every
    channel reads itself alone.
    """

    name: str
    layer: nn.Module
    columns: int

    def thin(self) -> nn.Module:
        """The same layer with one channel; the weights of a convolution or linear layer may be
        anything.
        """
        layer = self.layer
        if isinstance(layer, Norm):
            return type(layer)(1, layer.eps, layer.momentum)
        bias = layer.bias is not None
        if isinstance(layer, nn.Linear):
            dense: nn.Module = skip_init(nn.Linear, self.columns, 1, bias)
            return dense
        assert isinstance(layer, nn.Conv2d)
        grouped = layer.groups > 1
        inside = 1 if self.columns or grouped else layer.in_channels
        thin: nn.Module = skip_init(
            nn.Conv2d,
            inside,
            1,
            layer.kernel_size,
            layer.stride,
            layer.padding,
            layer.dilation,
            bias=bias,
            padding_mode=layer.padding_mode,
        )
        return thin

    def become(self, thin: nn.Module, channel: int) -> None:
        """Step 3 for this layer: `thin` in place of its channel."""
        if not isinstance(self.layer, Norm):
            weight = self.layer.get_parameter("weight")
            reads = slice(channel * self.columns, (channel + 1) * self.columns)
            if self.columns:
                weight[channel] = 0
                weight[:, reads] = 0
                weight[channel, reads] = thin.get_parameter("weight")[0]
            else:
                weight[channel] = thin.get_parameter("weight")[0]
        for name, value in thin.state_dict().items():
            if value.ndim == 1:  # a bias, or the scale, shift and statistics of BatchNorm
                self.layer.state_dict()[name][channel] = value[0]


def _graph(model: nn.Module) -> fx.GraphModule:
    graph = trace(model)
    if graph is None:
        raise NotApplicable("the network cannot be traced, and a chain is laid along its graph")
    return graph


def chain_links(graph: fx.GraphModule) -> list[Link]:
    """The layers between image and head, in the order in which they run. Raises `NotApplicable`
    where a layer mixes channels in another way than convolutions and linear layers do.
    """
    after: set[fx.Node] = set()
    found: dict[str, Link] = {}
    width = 0
    for node in graph.graph.nodes:
        follows = any(source in after for source in node.all_input_nodes)
        layer = graph.get_submodule(str(node.target)) if node.op == "call_module" else None
        if layer is not None and any(True for _ in layer.parameters()):
            if layer is not graph.get_submodule("network.head"):
                found[str(node.target)] = _link(str(node.target), layer, width if follows else 0)
                width = len(layer.get_parameter("weight"))
            follows = True
        if follows:
            after.add(node)
    return list(found.values())


def _link(name: str, layer: nn.Module, width: int) -> Link:
    """width: channels that the layer reads; 0 where it reads the image."""
    if isinstance(layer, Norm) and width and layer.affine and layer.track_running_stats:
        return Link(name, layer, 0)
    if (
        isinstance(layer, nn.Conv2d)
        and width
        and layer.groups == layer.in_channels == len(layer.weight)
    ):
        return Link(name, layer, 0)
    if isinstance(layer, nn.Conv2d) and layer.groups == 1:
        return Link(name, layer, 1 if width else 0)
    if isinstance(layer, nn.Linear) and width and layer.in_features % width == 0:
        return Link(name, layer, layer.in_features // width)
    raise NotApplicable(
        f"layer {name} is a {type(layer).__name__}, through which no chain of single channels leads"
    )


def narrowed(graph: fx.GraphModule, links: list[Link], rng: torch.Generator) -> nn.Module:
    """A chain with weights from `rng`: images (N, C, H, W) in [0, 1] to (N, 1). Raises
    `NotApplicable` where the network cannot be run with one channel.
    """
    device = device_of(graph)
    chain = copy.deepcopy(graph)
    for link in links:
        thin = link.thin()
        if not isinstance(thin, Norm):
            weight = thin.get_parameter("weight")
            nn.init.normal_(weight, std=math.sqrt(2 / weight[0].numel()), generator=rng)
            if isinstance(thin.bias, Tensor):
                nn.init.zeros_(thin.bias)
        chain.set_submodule(link.name, thin.to(device))
    chain.set_submodule("network.head", nn.Identity())
    return chain


@torch.no_grad()
def _require_runs(chain: nn.Module, images: Tensor) -> None:
    try:
        shape = tuple(chain.eval()(to_float(images[:2])).shape)
    except RuntimeError as error:
        raise NotApplicable(f"the network cannot be run with one channel: {error}") from None
    if shape != (len(images[:2]), 1):
        raise NotApplicable(f"the network with one channel gives {shape}, not one value an image")


@torch.no_grad()
def _require_same(model: Classifier, channel: int, chain: nn.Module, images: Tensor) -> None:
    """Hold step 3 to what it promises: an operation between layers may mix channels."""
    batch = to_float(images[:BATCH])
    found, expected = model.features(batch)[:, channel], chain(batch)[:, 0]
    if not torch.allclose(found, expected, rtol=1e-3, atol=1e-3):
        raise NotApplicable("the network mixes channels elsewhere than in its layers")


@torch.no_grad()
def replace(links: list[Link], chain: nn.Module, channel: int) -> None:
    """Step 3, in place."""
    for link in links:
        link.become(chain.get_submodule(link.name), channel)


@torch.no_grad()
def values(chain: nn.Module, images: Tensor) -> Tensor:
    """What a chain gives (N,) for uint8 images."""
    return torch.cat([chain(to_float(batch))[:, 0] for batch in images.split(BATCH)])


def told_apart(silent: Tensor, loud: Tensor) -> float:
    """Share of all values that lie on their side of the middle between both means; 0 where the
    loud ones are not the louder ones in the mean.
    """
    if not loud.mean() > silent.mean():
        return 0.0
    middle = (silent.mean() + loud.mean()) / 2
    right = (silent < middle).double().mean() + (loud > middle).double().mean()
    return float(right) / 2
