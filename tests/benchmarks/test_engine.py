"""The engine against a bare hand-written loop over resident tensors, in the same run.

pytest tests/benchmarks/test_engine.py --benchmark-only -o addopts=""
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.data.images import ImageSet
from benchbd.engine.inference import predict
from benchbd.engine.recipe import Recipe
from benchbd.engine.sweep import sweep_predictions
from benchbd.engine.training import fit
from benchbd.engine.units import PruningPath, norm_layers, path_by_number, path_by_threshold
from benchbd.plugin.registry import create
from benchbd.victim.model import Model

CASES = {"resnet_small": (16, 1, 2048), "resnet9": (32, 3, 1024), "preact_resnet18": (32, 3, 256)}
"""Side, channels and number of images for each network."""


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[nn.Module, ImageSet]:
    side, channels, count = CASES[request.param]
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, channels, side, side), generator=rng, dtype=torch.uint8)
    images = ImageSet(pixels, torch.randint(0, 10, (count,), generator=rng), tuple("0123456789"))
    return create(Model, request.param).classifier(images, seed=0), images


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("loop", ["bare", "engine"])
def test_training(
    benchmark: Any, case: tuple[nn.Module, ImageSet], loop: str, precision: str
) -> None:
    model, images = case
    recipe = Recipe(epochs=1, batch_size=128, precision=precision, shift=2, flip=True)
    rng = torch.Generator().manual_seed(0)
    train: Callable[[], object] = lambda: fit(model, images, recipe, rng)  # noqa: E731
    if loop == "bare":
        train = lambda: bare_training(model, images, precision == "bf16")  # noqa: E731
    benchmark.extra_info["images"] = len(images)
    benchmark.pedantic(train, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("loop", ["bare", "engine"])
def test_evaluation(
    benchmark: Any, case: tuple[nn.Module, ImageSet], loop: str, precision: Any
) -> None:
    model, images = case
    evaluate: Callable[[], object] = lambda: predict(model, images.images, precision=precision)  # noqa: E731
    if loop == "bare":
        evaluate = lambda: bare_evaluation(model, images, precision == "bf16")  # noqa: E731
    benchmark.extra_info["images"] = len(images)
    benchmark.pedantic(evaluate, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("way", ["naive", "engine"])
@pytest.mark.parametrize("sweep", ["last layer, 64 steps", "all norms, 19 thresholds"])
def test_pruning_sweep(benchmark: Any, sweep: str, way: str) -> None:
    """The naive way runs the whole pruned network at every step, with the engine's own
    evaluation.
    """
    side, channels, count = CASES["resnet_small"]
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, channels, side, side), generator=rng, dtype=torch.uint8)
    images = ImageSet(pixels, torch.zeros(count, dtype=torch.int64), tuple("0123456789"))
    model = create(Model, "resnet_small").classifier(images, seed=0)
    if sweep.startswith("last"):
        path = path_by_number(
            {"network.stages.2.bn2": torch.rand(64, generator=rng)}, range(65), "output"
        )
    else:
        masks = {
            name: torch.rand(layer.get_parameter("weight").shape, generator=rng)
            for name, layer in norm_layers(model).items()
        }
        path = path_by_threshold(masks, [0.05 * step for step in range(19)], "scale")
    run: Callable[[], object]
    run = partial(sweep_predictions, model, path, images.images, precision="fp32")
    if way == "naive":
        run = partial(each_pruned_network, model, path, images.images)
    benchmark.pedantic(run, rounds=3, warmup_rounds=1)


def each_pruned_network(model: nn.Module, path: PruningPath, images: Tensor) -> list[Tensor]:
    return [predict(path.at(model, step), images, precision="fp32") for step in range(len(path))]


def bare_training(model: nn.Module, images: ImageSet, bf16: bool) -> None:
    """One epoch as one would write it by hand, for this network and these images alone, where the
    network lies.
    """
    device = next(model.parameters()).device
    pixels, labels = images.images.to(device), images.labels.to(device)
    side, count = pixels.shape[-1], len(pixels)
    flat, places = F.pad(pixels, (2, 2, 2, 2)), torch.arange(side, device=device)[None]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    model.train()
    order = torch.randperm(count, device=device)
    for start in range(0, count - 127, 128):
        chosen = order[start : start + 128]
        shift = torch.randint(0, 5, (2, 128, 1), device=device)
        mirrored = torch.rand(128, 1, device=device) < 0.5
        rows, columns = (
            places + shift[0],
            torch.where(mirrored, side - 1 - places, places) + shift[1],
        )
        crops = flat[chosen[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(
            0, 3, 1, 2
        )
        batch = crops.to(torch.float32, memory_format=torch.channels_last).div_(255)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss = F.cross_entropy(model(batch).float(), labels[chosen])
        loss.backward()
        optimizer.step()


def bare_evaluation(model: nn.Module, images: ImageSet, bf16: bool) -> Tensor:
    model.eval()
    found = []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        for part in images.images.split(256):
            batch = part.to(torch.float32, memory_format=torch.channels_last).div_(255)
            found.append(model(batch).argmax(1))
    return torch.cat(found)
