"""The tables of docs/performance.md: the engine against what one would write by hand, in one run on
one machine.

    python tests/benchmarks/table.py
        a quarter of an hour, on a machine that does nothing else
    python tests/benchmarks/table.py --workload-w
        the stages of protocol workload-w, which needs CIFAR-10

Both ways are timed in turn, and the ratio is the median over the turns, so that a drift of the
machine hits both.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import benchbd  # first, so that threads wait passively

# isort: split
import torch
from test_engine import CASES, bare_evaluation, bare_training

from benchbd.attack.attack import Attack
from benchbd.data.images import ImageSet
from benchbd.engine.hardware import hardware
from benchbd.engine.inference import predict
from benchbd.engine.recipe import Recipe
from benchbd.engine.sweep import sweep_predictions
from benchbd.engine.training import fit
from benchbd.engine.units import PruningPath, norm_layers, path_by_number, path_by_threshold
from benchbd.plugin.registry import create, entries, load
from benchbd.record.defense_result import read_defense_result
from benchbd.victim.model import Model
from benchbd_zoo.attack.input_aware import InputAware
from benchbd_zoo.attack.lira import LIRA, Autoencoder
from benchbd_zoo.attack.parts.generator import drawn, stored
from benchbd_zoo.attack.ssba import SSBA, Encoder

Work = Callable[[], object]
TURNS = 5
STAMPED = 50_000
DRAWN = 2_560
SWEPT = {"resnet_small": (0, 1, 2), "resnet9": (0, 1, 2)}
"""Networks over which the masks of anp are swept, and the seeds with which they are learned."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--workload-w", action="store_true", help="time the stages of protocol workload-w instead"
    )
    if parser.parse_args().workload_w:
        show(("stage", "work s", "evaluation s"), workload_w())
        return
    machine = hardware()
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {machine.device}, bf16 "
        f"native: {machine.bf16}\n"
    )
    show(
        (
            "engine against a bare loop",
            "precision",
            "engine images/s",
            "bare images/s",
            "engine / bare",
        ),
        loops(),
    )
    show(("sweep", "naive s", "engine s", "times faster"), sweeps())
    show(("attack", f"seconds for {STAMPED:,} images of 3x32x32", "images/s"), stamping())
    show(("attack with networks", "CPU seconds for 10,000 images of 3x32x32"), drawing())
    print(
        "peak memory of this process: "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB"
    )


def show(header: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> None:
    """A Markdown table, a line as soon as it is known."""
    print(f"| {' | '.join(header)} |\n|{' --- |' * len(header)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)
    print()


def timed(work: Work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turn(first: Work, second: Work) -> tuple[float, float, float]:
    """Median seconds of both, and the median of second / first, turn by turn; one turn each is not
    counted.
    """
    first(), second()
    pairs = [(timed(first), timed(second)) for _ in range(TURNS)]
    ratio = statistics.median(b / a for a, b in pairs)
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs), ratio


def material(name: str) -> tuple[Any, ImageSet]:
    side, channels, count = CASES[name]
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, channels, side, side), generator=rng, dtype=torch.uint8)
    images = ImageSet(pixels, torch.randint(0, 10, (count,), generator=rng), tuple("0123456789"))
    return create(Model, name).classifier(images, seed=0), images


def loops() -> Iterator[tuple[str, ...]]:
    for name in CASES:
        model, images = material(name)
        for precision in ("fp32", "bf16"):
            recipe = Recipe(epochs=1, batch_size=128, precision=precision, shift=2, flip=True)
            bf16 = precision == "bf16"
            pairs: dict[str, tuple[Work, Work]] = {
                "training": (
                    lambda: fit(model, images, recipe, torch.Generator().manual_seed(0)),  # noqa: B023
                    lambda: bare_training(model, images, bf16),  # noqa: B023
                ),
                "evaluation": (
                    lambda: predict(model, images.images, precision=precision),  # type: ignore[arg-type]  # noqa: B023
                    lambda: bare_evaluation(model, images, bf16),  # noqa: B023
                ),
            }
            for what, (engine, bare) in pairs.items():
                ours, theirs, ratio = in_turn(engine, bare)
                speeds = (f"{len(images) / seconds:,.0f}" for seconds in (ours, theirs))
                yield f"{what}, {name}", precision, *speeds, f"{ratio:.2f}"


def sweeps() -> Iterator[tuple[str, ...]]:
    small, thresholds = "resnet_small", [0.05 * step for step in range(19)]
    rng = torch.Generator().manual_seed(0)
    layers = norm_layers(material(small)[0])
    spread = {
        name: torch.rand(layer.get_parameter("weight").shape, generator=rng)
        for name, layer in layers.items()
    }
    last = {"network.stages.2.bn2": torch.rand(64, generator=rng)}
    yield swept_row(
        f"{small}, last convolution, 64 channels one by one",
        small,
        path_by_number(last, range(65), "output"),
    )
    for name, seeds in SWEPT.items():
        for seed in seeds:
            path = path_by_threshold(masks_of_anp(name, seed), thresholds, "scale")
            yield swept_row(f"{name}, 19 thresholds, masks of anp, seed {seed}", name, path)
    yield swept_row(
        f"{small}, 19 thresholds, masks spread evenly",
        small,
        path_by_threshold(spread, thresholds, "scale"),
    )


def swept_row(what: str, name: str, path: PruningPath) -> tuple[str, ...]:
    model, images = material(name)
    naive, engine, _ = in_turn(
        lambda: one_by_one(model, path, images), lambda: swept(model, path, images)
    )
    return what, f"{naive:.2f}", f"{engine:.2f}", f"{naive / engine:.1f}"


def masks_of_anp(name: str, seed: int) -> dict[str, torch.Tensor]:
    """What `benchbd run --attack badnet --defense anp` learns on the digits with that network, (C,)
    per layer.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        attack = benchbd.run("badnet", "anp", model=name, seed=seed).attack
        tensors = read_defense_result(attack.folder / "defense" / "anp" / "defense_result.pt")[
            "tensors"
        ]
    return {name.removeprefix("mask."): mask for name, mask in tensors.items()}


def one_by_one(model: Any, path: PruningPath, images: ImageSet) -> None:
    """The whole pruned network at every step, with the engine's own evaluation."""
    for step in range(len(path)):
        predict(path.at(model, step), images.images, precision="fp32")


def swept(model: Any, path: PruningPath, images: ImageSet) -> None:
    sweep_predictions(model, path, images.images, precision="fp32")


def stamping() -> Iterator[tuple[str, ...]]:
    """Attacks whose trigger is a formula; the others learn theirs first."""
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (STAMPED, 3, 32, 32), generator=rng, dtype=torch.uint8)
    images = ImageSet(pixels, torch.arange(STAMPED) % 10, tuple("0123456789"))
    for entry in entries("attack"):
        cls = cast(type[Any], load("attack", entry.name))
        if (
            entry.provider != "benchbd"
            or "trains" in entry.card
            or cls.learns_trigger
            or entry.card.get("role") == "imported"
        ):
            continue
        plain = cls()
        attack = plain.with_trigger(
            plain.prepare(images, lambda: None, Recipe(), torch.Generator().manual_seed(0))
        )
        stamp = partial(attack.apply, attack.stamp, images.images, images.labels, rng)
        seconds = min(timed(stamp) for _ in range(3))
        yield entry.name, f"{seconds:.2f}", f"{STAMPED / seconds:,.0f}"


def drawing() -> Iterator[tuple[str, ...]]:
    """Attacks whose trigger is drawn by networks, with weights that nobody trained: how long it
    takes is the same.
    """
    rng = torch.Generator().manual_seed(0)
    drawing = InputAware()
    networks = {
        name: drawn(partial(drawing._network, 3, outside, 32), rng)
        for name, outside in (("mask", 1), ("pattern", 3))
    }
    encoder, noise = (
        drawn(partial(Encoder, 20, (3, 32, 32), 32), rng, slope=0),
        drawn(partial(Autoencoder, 3), rng),
    )
    triggers: list[tuple[Attack, dict[str, torch.Tensor]]] = [
        (LIRA(), stored("noise", noise)),
        (SSBA(), stored("encoder", encoder) | {"code": torch.ones(20, dtype=torch.int64)}),
        (
            drawing,
            {
                key: value
                for name, network in networks.items()
                for key, value in stored(name, network).items()
            },
        ),
    ]
    images = torch.randint(0, 256, (DRAWN, 3, 32, 32), generator=rng, dtype=torch.uint8)
    for plain, trigger in triggers:
        attack, labels = plain.with_trigger(trigger), torch.zeros(DRAWN, dtype=torch.int64)
        attack.apply(attack.stamp, images, labels, rng)
        seconds = []
        for _ in range(3):
            start = time.process_time()
            attack.apply(attack.stamp, images, labels, rng)
            seconds.append(time.process_time() - start)
        yield plain.name, f"{min(seconds) * 10_000 / DRAWN:.1f}"


def workload_w() -> Iterator[tuple[str, ...]]:
    words = (
        "run --protocol workload-w --attack badnet --defense ft --defense fine_prune --defense "
        "anp --json --name workload-w"
    )
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "benchbd", *words.split()],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    whole = time.perf_counter() - start
    cells = json.loads(done.stdout)["cells"]
    yield "attack", f"{cells[0]['cost']['attack_seconds']:.1f}", "in the next line"
    for cell in cells:
        cost = cell["cost"]
        yield (
            cell["cell"]["defense"]["name"],
            f"{cost['defense_seconds']:.1f}",
            f"{cost['evaluation_seconds']:.1f}",
        )
    yield "the whole command", f"{whole:.1f}", ""


if __name__ == "__main__":
    main()
