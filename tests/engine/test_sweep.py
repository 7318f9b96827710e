"""A sweep must say what the pruned networks themselves say, and run no more of them
than it must.
"""

from __future__ import annotations

import copy
import weakref
from collections import Counter
from collections.abc import Iterable

import pytest
import torch
from torch import Tensor, nn

from benchbd.engine.classifier import Classifier
from benchbd.engine.inference import predict
from benchbd.engine.sweep import last_within, sweep_accuracies, sweep_predictions
from benchbd.engine.units import (
    PrunedPart,
    PruningPath,
    channels,
    path_by_number,
    path_by_threshold,
)
from support.tiny_networks import (
    Branching,
    InPlace,
    Plain,
    PreAct,
    ReadAgain,
    Renamed,
    Residual,
    Summed,
    Tokens,
    classifier,
    random_images,
)

IMAGES = random_images(300)
"""More than one batch."""

SWEEPS: list[tuple[type[nn.Module], PrunedPart, tuple[str, ...]]] = [
    (Residual, "scale", ("body.bn1", "body.bn2")),
    (Residual, "output", ("body.bn2", "body.shortcut", "body.conv1")),
    (Residual, "input", ("head",)),
    (PreAct, "scale", ("body.bn1", "body.bn2")),
    (PreAct, "output", ("body.bn1", "body.bn2", "body.stem", "body.conv2")),
    (Plain, "output", ("body.conv1", "body.conv2")),
    (Plain, "input", ("head",)),
    (InPlace, "scale", ("body.bn2", "body.bn1")),
    (InPlace, "output", ("body.bn1", "body.conv2")),
    (InPlace, "output", ("body.shortcut",)),
    (Tokens, "scale", ("body.norm", "body.group")),
    (Tokens, "output", ("body.conv", "body.norm", "body.mix")),
    (Summed, "output", ("body.conv1", "body.conv2")),
    (ReadAgain, "scale", ("body.bn1", "body.bn2")),
    (ReadAgain, "output", ("body.conv1",)),
    (Renamed, "output", ("body.shortcut", "body.bn2")),
    (Branching, "output", ("body.conv1", "body.conv2")),
    (Branching, "input", ("head",)),
]


STEPS = (0, 1, 3, 3, 4, 6, 8, 99)


def some_path(
    model: Classifier, where: PrunedPart, layers: Iterable[str], steps: Iterable[int] = STEPS
) -> PruningPath:
    """Channels of `layers` in a random order."""
    rng = torch.Generator().manual_seed(7)
    counts = {name: channels(model.network.get_submodule(name), where) for name in layers}
    worth = {f"network.{name}": torch.rand(count, generator=rng) for name, count in counts.items()}
    return path_by_number(worth, list(steps), where)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "where", "layers"), SWEEPS, ids=lambda value: getattr(value, "__name__", str(value))
)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_step_equals_the_pruned_network(
    body: type[nn.Module], where: PrunedPart, layers: tuple[str, ...], seed: int
) -> None:
    model = classifier(body(), seed)
    path = some_path(model, where, layers)
    swept = sweep_predictions(model, path, IMAGES.images, precision="fp32")
    plain = torch.stack(
        [
            predict(path.at(model, step), IMAGES.images, precision="fp32")
            for step in range(len(path))
        ]
    )
    assert torch.equal(swept, plain)
    assert len(plain[0].unique()) > 1 and (plain != plain[0]).any(), (
        "these networks would not tell right from wrong"
    )


@pytest.mark.slow
@pytest.mark.parametrize("body", [Residual, InPlace, Plain])
def test_every_step_equals_the_pruned_network_in_bf16(body: type[nn.Module]) -> None:
    model = classifier(body())
    path = some_path(model, "output", ("body.conv1", "body.conv2"))
    swept = sweep_predictions(model, path, IMAGES.images, precision="bf16")
    plain = torch.stack(
        [
            predict(path.at(model, step), IMAGES.images, precision="bf16")
            for step in range(len(path))
        ]
    )
    assert torch.equal(swept, plain)


@pytest.mark.parametrize("body", [Residual, InPlace, ReadAgain, Branching])
def test_the_model_is_left_as_it_was(body: type[nn.Module]) -> None:
    model = classifier(body()).train()
    before = copy.deepcopy(model.state_dict())
    sweep_predictions(model, some_path(model, "output", ("body.conv1",)), IMAGES.images)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())


def images_through(model: Classifier, path: PruningPath) -> Counter[str]:
    """How many images each leaf of the network sees during a sweep."""
    seen: Counter[str] = Counter()

    def count(name: str) -> None:
        model.network.get_submodule(name).register_forward_hook(
            lambda m, inputs, out: seen.update({name: len(inputs[0])})
        )

    for name, module in model.network.named_modules():
        if not list(module.children()):
            count(name)
    sweep_predictions(model, path, IMAGES.images)
    return seen


TRIED = 2
"""A single image, given to the network and to its graph to see whether they agree."""

ONCE = len(IMAGES) + TRIED


def test_what_lies_before_the_pruned_layer_runs_once() -> None:
    model = classifier(Residual())
    seen = images_through(model, some_path(model, "output", ("body.bn2",), range(5)))
    assert {seen[f"body.{name}"] for name in ("conv1", "bn1", "conv2", "shortcut")} == {ONCE}
    assert seen["body.bn2"] == seen["head"] == 5 * len(IMAGES) + TRIED


def test_a_pruned_convolution_runs_once() -> None:
    model = classifier(Plain())
    seen = images_through(model, some_path(model, "output", ("body.conv2",), range(7)))
    assert (seen["body.conv1"], seen["body.conv2"], seen["head"]) == (
        ONCE,
        ONCE,
        7 * len(IMAGES) + TRIED,
    )


def test_steps_that_prune_nothing_new_run_nothing() -> None:
    model = classifier(Plain())
    seen = images_through(model, some_path(model, "input", ("head",), [0, 0, 2, 2, 2, 3]))
    assert seen["head"] == 3 * len(IMAGES) + TRIED


def test_values_are_let_go_once_no_later_step_reads_them() -> None:
    model = classifier(Plain())
    outputs: list[weakref.ref[Tensor]] = []
    alive: list[int] = []
    model.network.body.conv1.register_forward_hook(
        lambda m, inputs, out: outputs.append(weakref.ref(out))
    )

    def look(*_: object) -> None:
        alive.append(sum(output() is not None for output in outputs))

    model.head.register_forward_hook(look)
    sweep_predictions(model, some_path(model, "input", ("head",), range(4)), IMAGES.images)
    assert len(alive) == 2 * 4 + TRIED
    assert not any(alive)


def test_no_images_no_columns() -> None:
    model = classifier(Plain())
    assert sweep_predictions(
        model, some_path(model, "input", ("head",), [0, 1]), IMAGES.images[:0]
    ).shape == (2, 0)


def test_accuracies_are_shares_of_hits() -> None:
    model = classifier(Plain())
    path = some_path(model, "input", ("head",), [0, 6])
    pruned_away = float((IMAGES.labels == 0).double().mean())
    hits = predict(model, IMAGES.images) == IMAGES.labels
    assert sweep_accuracies(model, path, IMAGES) == pytest.approx(
        (float(hits.double().mean()), pruned_away)
    )


@pytest.mark.parametrize(
    ("allowed", "step"),
    [(0.95, 0), (0.9, 1), (0.86, 1), (0.8, 3), (0.1, 4)],
    ids=lambda value: str(value),
)
def test_last_within_stops_at_the_first_fall(allowed: float, step: int) -> None:
    assert last_within((0.9, 0.9, 0.85, 0.8, 0.3), allowed) == step


def test_steps_that_prune_nothing_take_what_is_known() -> None:
    """Marked answers, which no network gives, stand where nothing is pruned, and nowhere else."""
    model, images = classifier(InPlace()), random_images(20).images
    worth = {"network.body.bn1": torch.tensor([0.9, 0.35, 0.9, 0.9, 0.55, 0.9])}
    marked = torch.full((20,), 77)
    path = path_by_threshold(worth, (0.0, 0.2, 0.4, 0.6), "scale")
    rows, plain = (
        sweep_predictions(model, path, images, unpruned=marked),
        sweep_predictions(model, path, images),
    )
    assert torch.equal(rows[:2], marked.expand(2, -1))
    assert torch.equal(rows[2:], plain[2:]) and not (plain == 77).any()
    untouched = path_by_threshold(worth, (0.0, 0.1), "scale")
    assert torch.equal(
        sweep_predictions(model, untouched, images, unpruned=marked), marked.expand(2, -1)
    )
