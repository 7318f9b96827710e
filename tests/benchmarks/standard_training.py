"""The field's standard training on one device: the engine, a bare loop, and what the device could
do at best.

    python tests/benchmarks/standard_training.py
        on the GPU where there is one
    python tests/benchmarks/standard_training.py --device cpu --images 512

preact_resnet18 over images of 3x32x32, batches of 128, random crops and flips. A full training of
the standard recipe is 100 epochs over 50,000 images. The ways are timed in turn, and each number is
the median.

The bounds are estimates: the operations of a step at the pace of one large product of matrices, and
the bytes that its layers read and write at the pace of one large copy, both measured here. Layer by
layer no training is faster than the slower of them; a compiler that fuses layers moves fewer bytes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import benchbd  # noqa: F401 - first, so that threads wait passively

# isort: split
import torch
import torch.nn.functional as F
from test_engine import bare_training
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchbd.data.images import ImageSet
from benchbd.engine.classifier import Classifier
from benchbd.engine.hardware import Hardware, hardware
from benchbd.engine.recipe import Recipe
from benchbd.engine.training import fit
from benchbd.plugin.registry import create

STANDARD = 5_000_000
BATCH, TURNS = 128, 3
PASSES = 5
"""Times that a layer's output crosses the memory: written and read forward, read again backward,
its gradient written and read.
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, ...; auto takes a GPU if there is one"
    )
    parser.add_argument(
        "--images", type=int, default=50_000, help="images of the epoch that is timed"
    )
    parser.add_argument("--no-compile", action="store_true", help="leave out the compiled network")
    given = parser.parse_args()
    machine, images = hardware(given.device), noise(given.images)
    print(f"torch {torch.__version__}, {named(machine.device)}, {machine.precision}\n")
    ways: dict[str, Callable[[], object]] = {
        "engine": partial(train, victim(images, machine), images, compiled=False),
        "bare loop": partial(bare_training, victim(images, machine), images, machine.bf16),
    }
    if not given.no_compile:
        ways["engine, recipe.compile"] = partial(
            train, victim(images, machine), images, compiled=True
        )
    bounds = roofline(victim(images, machine), images, machine)
    print(
        "| preact_resnet18, batches of 128 | images/s | seconds for 5,000,000 | of the bound |\n| "
        "--- | ---: | ---: | ---: |"
    )
    for name, speed in (
        speeds(ways, len(images) // BATCH * BATCH, machine.device) | bounds
    ).items():
        print(
            f"| {name} | {speed:,.0f} | {STANDARD / speed:,.0f} | "
            f"{speed / min(bounds.values()):.0%} |"
        )


def noise(count: int) -> ImageSet:
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 3, 32, 32), generator=rng, dtype=torch.uint8)
    return ImageSet(pixels, torch.arange(count) % 10, tuple("0123456789"))


def victim(images: ImageSet, machine: Hardware) -> Classifier:
    model: Classifier = (
        create("model", "preact_resnet18").classifier(images, seed=0).to(machine.device)
    )  # type: ignore[attr-defined]
    return model


def train(model: nn.Module, images: ImageSet, compiled: bool) -> None:
    """One epoch; a compiled network is compiled anew in the first of them alone, for torch
    remembers it.
    """
    recipe = Recipe(
        epochs=1, batch_size=BATCH, lr=0.01, schedule="cosine", shift=4, flip=True, compile=compiled
    )
    fit(model, images, recipe, torch.Generator().manual_seed(0))


def speeds(
    ways: dict[str, Callable[[], object]], count: int, device: torch.device
) -> dict[str, float]:
    """Images a second, the median over the turns; a first turn is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(1 + TURNS):
        for name, work in ways.items():
            taken = timed(work, device)
            if turn:
                seconds[name].append(taken)
    return {name: count / statistics.median(taken) for name, taken in seconds.items()}


def roofline(model: Classifier, images: ImageSet, machine: Hardware) -> dict[str, float]:
    """Images a second at which the device would be busy with nothing but operations, or nothing but
    its memory.
    """
    batch = (images.images[:BATCH].to(machine.device) / 255).to(memory_format=torch.channels_last)
    written = 0

    def note(module: nn.Module, given: object, output: Tensor) -> None:
        nonlocal written
        written += output.nbytes

    layers = [module for module in model.train().modules() if not list(module.children())]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    with FlopCounterMode(display=False) as counter:
        with machine.autocast(batch):
            loss = F.cross_entropy(model(batch).float(), images.labels[:BATCH].to(machine.device))
        loss.backward()
    for hook in hooks:
        hook.remove()
    operations, moved = counter.get_total_flops() / len(batch), PASSES * written / len(batch)
    return {
        f"bound by operations ({operations / 1e9:.2f} GFLOP an image)": pace_of_products(machine)
        / operations,
        f"bound by memory ({moved / 1e6:.1f} MB an image)": pace_of_copies(machine) / moved,
    }


def pace_of_products(machine: Hardware) -> float:
    """Operations a second of one large product of matrices, in the precision of the training."""
    side = 8192 if machine.device.type == "cuda" else 2048
    matrix = torch.randn(
        side, side, device=machine.device, dtype=torch.bfloat16 if machine.bf16 else torch.float32
    )
    return 2 * side**3 / best(lambda: matrix @ matrix, machine.device)


def pace_of_copies(machine: Hardware) -> float:
    """Bytes a second that one large copy reads and writes."""
    source = torch.zeros(2**28, dtype=torch.uint8, device=machine.device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / best(lambda: target.copy_(source), machine.device)


def best(work: Callable[[], object], device: torch.device) -> float:
    return min(timed(work, device) for _ in range(10))


def timed(work: Callable[[], object], device: torch.device) -> float:
    settle(device)
    start = time.perf_counter()
    work()
    settle(device)
    return time.perf_counter() - start


def settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def named(device: torch.device) -> str:
    return (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{device}, {torch.get_num_threads()} threads"
    )


if __name__ == "__main__":
    main()
