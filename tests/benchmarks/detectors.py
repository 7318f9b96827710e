"""Seconds and memory of input detectors and data filters over as many images as a data set has.

    python tests/benchmarks/detectors.py
        50,000 images of 3x32x32, a ResNet-9 a quarter as wide
    python tests/benchmarks/detectors.py --images 5000 strip   one method, fewer images

Each method has a process of its own, so that the peak of its memory is its own; the images
themselves are 146 MiB of it. Images and network are random: what is asked here is what scoring
costs, not how well it tells.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import benchbd.api  # noqa: F401 - first, so that threads wait passively

# isort: split
import torch

from benchbd.data.budget import CleanSet
from benchbd.data.images import ImageSet
from benchbd.defense.data_filter import DataFilter
from benchbd.defense.input_detector import InputDetector
from benchbd.engine.inference import EVAL_BATCH
from benchbd.plugin.registry import create, entries
from benchbd.victim.model import Model

CLASSES, BUDGET = 10, 500


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", help="the methods; default: all input detectors and data filters"
    )
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument(
        "--width", type=int, default=4, help="channels of the network's first convolution"
    )
    parser.add_argument(
        "--alone", action="store_true", help="measure one method in this very process, print JSON"
    )
    options = parser.parse_args()
    if options.alone:
        print(json.dumps(measured(options.names[0], options.images, options.width)))
        return
    print(f"{options.images:,} images, {torch.get_num_threads()} threads\n")
    print("| method | stage | seconds | images/s | peak MiB |\n| --- | --- | ---: | ---: | ---: |")
    for name in options.names or [entry.name for entry in entries("defense")]:
        words = [
            sys.executable,
            __file__,
            name,
            "--alone",
            "--images",
            str(options.images),
            "--width",
            str(options.width),
        ]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
        row = json.loads(done.stdout.splitlines()[-1])
        if row:
            speed = options.images / row["seconds"]
            print(
                f"| `{name}` | {row['stage']} | {row['seconds']:.0f} | {speed:,.0f} | "
                f"{row['peak']:,.0f} |",
                flush=True,
            )


def measured(name: str, count: int, width: int) -> dict[str, object]:
    """What scoring takes; nothing for a method of another stage."""
    method = create("defense", name)
    if not isinstance(method, InputDetector | DataFilter):
        return {}
    rng = torch.Generator().manual_seed(0)
    images, clean = drawn(count, rng), drawn(BUDGET, rng)
    model = create(Model, "resnet9", {"width": width}).classifier(images, seed=0).eval()
    budget = CleanSet(
        clean.subset(torch.arange(BUDGET // 5, BUDGET)), clean.subset(torch.arange(BUDGET // 5))
    )
    start = time.perf_counter()
    if isinstance(method, DataFilter):
        method.score(images, model, budget, rng)
    else:
        scorer = method.fit(model, budget, rng)
        for batch in images.images.split(EVAL_BATCH):
            scorer.score(batch)
    seconds = time.perf_counter() - start
    return {
        "stage": method.stage,
        "seconds": seconds,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def drawn(count: int, rng: torch.Generator) -> ImageSet:
    """Random images with the classes in turn, of which a network sees a little: each has a
    brightness of its own.
    """
    labels = torch.arange(count) % CLASSES
    noise = torch.randint(0, 156, (count, 3, 32, 32), generator=rng, dtype=torch.uint8)
    return ImageSet(
        noise + (10 * labels).to(torch.uint8)[:, None, None, None], labels, tuple("0123456789")
    )


if __name__ == "__main__":
    main()
