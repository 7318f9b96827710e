"""The training loop, held against a plain one written by hand."""

from __future__ import annotations

import copy
import math
import random
import shutil
from typing import Any

import numpy
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.data.images import ImageSet
from benchbd.engine.classifier import Classifier
from benchbd.engine.counting import measure_cost
from benchbd.engine.hardware import Hardware
from benchbd.engine.progress import call_after_epochs, report_progress
from benchbd.engine.recipe import Recipe
from benchbd.engine.training import _step, fit, to_float
from benchbd.errors import ConfigError, Diverged


class Net(nn.Module):
    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, stride=2)
        self.bn = nn.BatchNorm2d(6)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(6, 3)

    def features(self, images: Tensor) -> Tensor:
        return self.dropout(F.relu(self.bn(self.conv(images))).mean((2, 3)))  # type: ignore[no-any-return]


def network(dropout: float = 0.0) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Classifier(Net(dropout), (0.5, 0.4, 0.6), (0.2, 0.3, 0.25))


def recipe(**given: Any) -> Recipe:
    small: dict[str, Any] = {
        "epochs": 2,
        "batch_size": 16,
        "precision": "fp32",
        "shift": 0,
        "lr": 0.05,
    }
    return Recipe(**(small | given))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def weights(model: nn.Module) -> Tensor:
    return torch.cat([value.detach().double().flatten() for value in model.state_dict().values()])


@pytest.mark.slow
def test_a_linear_problem_is_learned() -> None:
    """Classes that differ in the brightness of one channel."""
    labels = torch.arange(90) % 3
    pixels = torch.randint(0, 120, (90, 3, 8, 8), generator=generator(), dtype=torch.uint8)
    pixels[torch.arange(90), labels] += 60
    model = network()
    fit(
        model,
        ImageSet(pixels, labels, ("red", "green", "blue")),
        recipe(epochs=30, batch_size=30, lr=0.2),
        generator(),
    )
    with torch.no_grad():
        assert float((model(to_float(pixels)).argmax(1) == labels).double().mean()) > 0.97


def rate(schedule: str, share: float) -> float:
    """The course of the learning rate as the docstrings of the recipe put it."""
    if schedule == "constant":
        return 1.0
    if schedule == "cosine":
        return (1 + math.cos(math.pi * share)) / 2
    if schedule == "linear":
        return 0.2 + 0.8 * share / 0.23 if share < 0.23 else 1 - 0.93 * (share - 0.23) / 0.77
    low, high, way = (1 / 25, 1.0, share / 0.3) if share < 0.3 else (1.0, 1e-4, (share - 0.3) / 0.7)
    return low + (high - low) * (1 - math.cos(math.pi * way)) / 2


def plain(model: nn.Module, train: ImageSet, options: Recipe, seed: int) -> list[float]:
    """The loop by hand in fp32: the same order of batches, SGD with momentum written out. Returns
    the learning rates.
    """
    rng = generator(seed)
    order = generator(int(torch.randint(0, 2**62, (), generator=rng)))
    count = len(train)
    steps, rates = -(-count // options.batch_size), []
    span = steps * (options.horizon or options.epochs)
    parameters = list(model.parameters())
    velocity = [torch.zeros_like(parameter) for parameter in parameters]
    names = [name for name, _ in model.named_parameters()]
    factors = [options.shift_rate if name.endswith("bn.bias") else 1.0 for name in names]
    model.train()
    for epoch in range(options.epochs):
        shuffled = torch.randperm(count, generator=order)
        for step, chosen in enumerate(shuffled.tensor_split(steps)):
            logits = model(train.images[chosen].float() / 255)
            smooth = (
                F.one_hot(train.labels[chosen], 3) * (1 - options.label_smoothing)
                + options.label_smoothing / 3
            )
            loss = -(smooth * logits.log_softmax(1)).sum(1).mean()
            gradients = torch.autograd.grad(loss, parameters)
            rates.append(
                options.lr * rate(options.schedule, min(1.0, (epoch * steps + step) / span))
            )
            with torch.no_grad():
                for parameter, gradient, speed, factor in zip(
                    parameters, gradients, velocity, factors, strict=True
                ):
                    slope = gradient + options.weight_decay / factor * parameter
                    speed.mul_(options.momentum).add_(slope)
                    ahead = slope + options.momentum * speed if options.nesterov else speed
                    parameter.sub_(rates[-1] * factor * ahead)
    return rates


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"schedule": "cosine", "label_smoothing": 0.1},
        {"schedule": "constant", "momentum": 0.0},
        {"horizon": 5},
        {"schedule": "linear", "nesterov": True},
        {"shift_rate": 8.0, "weight_decay": 0.05},
    ],
    ids=str,
)
def test_the_fast_path_gives_the_weights_of_a_plain_loop(
    images: ImageSet, given: dict[str, Any]
) -> None:
    fast, slow = network(), network()
    fit(fast, images, recipe(**given), generator(4))
    plain(slow, images, recipe(**given), 4)
    assert torch.allclose(weights(fast), weights(slow), atol=1e-5, rtol=0)
    assert not torch.allclose(weights(fast), weights(network()), atol=1e-3, rtol=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler does what it warns of
@pytest.mark.skipif(
    shutil.which("g++") is None, reason="torch.compile needs a C++ compiler, and there is no g++"
)
def test_a_compiled_network_learns_the_same_and_its_passes_are_counted(images: ImageSet) -> None:
    trained, passes = [], []
    for compiled in (False, True):
        with measure_cost(torch.device("cpu")) as cost:
            trained.append(weights(fit(network(), images, recipe(compile=compiled), generator())))
        passes.append((cost.forward_samples, cost.backward_samples))
    torch.testing.assert_close(trained[1], trained[0], rtol=1e-4, atol=1e-5)
    assert passes[0] == passes[1]


@pytest.mark.parametrize(("device", "mode"), [("cuda", "reduce-overhead"), ("cpu", "default")])
def test_a_gpu_replays_graphs(device: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`reduce-overhead` is torch's name of the mode that captures CUDA graphs."""
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(torch, "compile", lambda model, **given: asked.append(given))
    optimizer = recipe().build_optimizer(network().parameters())
    _step(
        network(), optimizer, Hardware(torch.device(device), bf16=False), F.mse_loss, compiled=True
    )
    assert asked == [{"mode": mode}]


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "linear", "constant"])
def test_learning_rates_follow_their_formula(schedule: str) -> None:
    factor = recipe(schedule=schedule).factor(40)
    assert [factor(step) for step in range(41)] == pytest.approx(
        [rate(schedule, step / 40) for step in range(41)]
    )
    assert factor(99) == factor(40)


def test_one_cycle_peaks_at_three_tenths() -> None:
    factor = recipe(schedule="one_cycle").factor(10)
    assert (factor(0), factor(3), factor(10)) == pytest.approx((0.04, 1.0, 0.0001))


def test_the_beginning_of_a_recipe_has_its_first_rates_and_no_end() -> None:
    whole = recipe(schedule="one_cycle", epochs=10)
    part = whole.beginning(4)
    assert (part.epochs, part.horizon, whole.epochs, whole.horizon) == (4, 10, 10, None)
    course, broken_off = (whole.factor(5 * 10), part.factor(5 * (part.horizon or part.epochs)))
    assert [broken_off(step) for step in range(20)] == [course(step) for step in range(20)]
    assert broken_off(19) > 0.9  # near the peak, where the whole would have ended at 0.0001
    assert whole.beginning(30).horizon == 30
    assert recipe(horizon=50, epochs=10).beginning(4).horizon == 50


def test_lookahead_draws_weights_to_their_average_and_ends_at_it(images: ImageSet) -> None:
    """Twelve steps. At steps 5 and 10 the average keeps 0.95^5 (share of the training)^3 of itself,
    and the weights become it; after the last they become the average of step 10 again.
    """
    seen: list[float] = []

    def down(model: nn.Module, batch: Tensor, labels: Tensor) -> Tensor:
        return model.get_parameter("network.head.bias").sum()

    def look(model: nn.Module) -> None:
        seen.append(float(model.get_parameter("network.head.bias")[0] - start))

    options = recipe(epochs=3, schedule="constant", momentum=0.0, weight_decay=0.0, lookahead=True)
    start, rate = network().head.bias[0].item(), 0.05
    fit(network(), images, options, generator(), loss=down, after_step=look)
    first = (1 - 0.95**5 * (5 / 12) ** 3) * -5 * rate
    kept = 0.95**5 * (10 / 12) ** 3
    second = kept * first + (1 - kept) * (first - 5 * rate)
    ways = [-rate * step for step in range(1, 5)] + [first - rate * step for step in range(5)]
    assert seen == pytest.approx([*ways, second, second - rate, second], abs=1e-6)


def test_options_that_came_later_are_told_only_where_they_are_set() -> None:
    """The names are those under which the first results were stored; with one more, their keys
    would be other keys.
    """
    first = {"epochs", "batch_size", "optimizer", "lr", "momentum", "weight_decay", "schedule"}
    first |= {"horizon", "shift", "flip", "label_smoothing", "precision", "compile"}
    first |= {"evaluate_every"}
    assert set(Recipe().params) == first
    later: dict[str, Any] = {"nesterov": True, "shift_rate": 64.0, "reflect": True}
    for name, value in (later | {"lookahead": True}).items():
        told = Recipe(**{name: value}).params
        assert set(told) == first | {name}
        assert told[name] == value
        assert Recipe(**told).params == told
    assert set(Recipe.model_fields) == first | set(Recipe.later)


def test_optimizers() -> None:
    parameters = [nn.Parameter(torch.ones(1))]
    sgd = recipe(momentum=0.8, weight_decay=0.01).build_optimizer(parameters)
    adam = recipe(optimizer="adam", lr=0.02).build_optimizer(parameters)
    assert isinstance(sgd, torch.optim.SGD)
    assert (sgd.defaults["lr"], sgd.defaults["momentum"], sgd.defaults["weight_decay"]) == (
        0.05,
        0.8,
        0.01,
    )
    assert isinstance(adam, torch.optim.Adam)
    assert (adam.defaults["lr"], adam.defaults["amsgrad"]) == (0.02, False)
    amsgrad = recipe(optimizer="amsgrad").build_optimizer(parameters)
    assert isinstance(amsgrad, torch.optim.Adam) and amsgrad.defaults["amsgrad"]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_same_seed_gives_the_same_weights_bit_for_bit(images: ImageSet, precision: str) -> None:
    options = recipe(shift=1, flip=True, precision=precision)
    first, second, other = (
        fit(network(0.5), images, options, generator(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(other))


def test_training_does_not_depend_on_the_global_random_state(images: ImageSet) -> None:
    first = fit(network(0.5), images, recipe(), generator())
    torch.rand(5)
    assert torch.equal(weights(first), weights(fit(network(0.5), images, recipe(), generator())))


def global_state() -> tuple[object, ...]:
    return (
        torch.get_rng_state().tolist(),
        numpy.random.get_state(legacy=False)["state"]["key"].tolist(),
        random.getstate(),
    )


def test_the_global_random_state_is_as_before(images: ImageSet) -> None:
    before = global_state()
    fit(network(0.5), images, recipe(), generator())
    assert global_state() == before


def test_the_images_are_left_alone_and_the_model_comes_back_in_eval_mode(images: ImageSet) -> None:
    before = images.fingerprint()
    model = network()
    assert fit(model, images, recipe(shift=2, flip=True), generator()) is model
    assert not any(module.training for module in model.modules())
    assert images.fingerprint() == before


def test_a_loss_that_is_no_number_is_divergence(images: ImageSet) -> None:
    def loss(model: nn.Module, batch: Tensor, labels: Tensor) -> Any:
        return model(batch).sum() * float("nan")

    with pytest.raises(Diverged, match="fine-tuning diverged in epoch 1"):
        fit(network(), images, recipe(), generator(), loss=loss, what="fine-tuning")
    with pytest.raises(Diverged):
        fit(network(), images, recipe(lr=1e30, epochs=3), generator())


def test_a_loss_of_ones_own_is_what_is_descended(images: ImageSet) -> None:
    def loss(model: nn.Module, batch: Tensor, labels: Tensor) -> Any:
        assert (batch.dtype, float(batch.min()) >= 0, float(batch.max()) <= 1) == (
            torch.float32,
            True,
            True,
        )
        return model.get_parameter("network.head.bias").sum()

    model, options = (
        network(),
        recipe(epochs=1, schedule="constant", momentum=0.0, weight_decay=0.0),
    )
    before = model.head.bias.detach().clone()
    fit(model, images, options, generator(), loss=loss)
    assert torch.allclose(model.head.bias.detach(), before - 4 * 0.05, atol=1e-6)


def test_a_course_of_ones_own_is_the_learning_rate(images: ImageSet) -> None:
    """60 images in batches of 16 at most are four steps an epoch; the bias goes down by the sum of
    the rates.
    """

    def course(done: int, steps: int) -> float:
        assert steps == 4
        return [1.0, 0.0, 3.0, 0.5, 0.0, 0.25, 0.0, 0.0][min(done, 7)]

    model, options = network(), recipe(schedule="cosine", momentum=0.0, weight_decay=0.0)
    before = model.head.bias.detach().clone()
    fit(
        model,
        images,
        options,
        generator(),
        loss=lambda m, x, y: m.get_parameter("network.head.bias").sum(),
        course=course,
    )
    assert torch.allclose(model.head.bias.detach(), before - 4.75 * 0.05, atol=1e-6)


def test_a_rule_is_kept_after_every_step(images: ImageSet) -> None:
    seen: list[float] = []

    def halve(model: nn.Module) -> None:
        model.get_parameter("network.head.bias").fill_(0.5)

    def loss(model: nn.Module, batch: Tensor, labels: Tensor) -> Any:
        seen.append(float(model.get_parameter("network.head.bias").detach().sum()))
        return F.cross_entropy(model(batch), labels)

    model = fit(network(), images, recipe(epochs=1), generator(), loss=loss, after_step=halve)
    assert seen[1:] == [1.5] * 3
    assert model.get_parameter("network.head.bias").tolist() == [0.5] * 3


def test_an_edit_sees_uint8_batches_and_what_it_returns_is_trained_on(images: ImageSet) -> None:
    seen: list[int] = []

    def edit(batch: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        assert batch.dtype == torch.uint8
        places = [int((images.images == image).flatten(1).all(1).nonzero()) for image in batch]
        assert images.labels[places].tolist() == labels.tolist()
        seen.extend(places)
        return 255 - batch, (labels + 1) % 3

    edited = fit(network(), images, recipe(epochs=1), generator(), edit=edit)
    changed = ImageSet(255 - images.images, (images.labels + 1) % 3, images.class_names)
    assert torch.allclose(
        weights(edited),
        weights(fit(network(), changed, recipe(epochs=1), generator())),
        atol=1e-6,
        rtol=0,
    )
    assert len(seen) == len(set(seen)) == 60


def test_an_edit_is_applied_before_the_crop(images: ImageSet) -> None:
    def edit(batch: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return torch.full_like(batch, 255), labels

    def loss(model: nn.Module, batch: Tensor, labels: Tensor) -> Any:
        borders.append(float(batch.min()))
        return model(batch).sum()

    borders: list[float] = []
    fit(network(), images, recipe(epochs=1, shift=2, lr=1e-6), generator(), edit=edit, loss=loss)
    assert borders == [0.0] * 4


def test_an_edit_may_grow_the_batch(images: ImageSet) -> None:
    sizes: list[int] = []

    def loss(model: nn.Module, batch: Tensor, labels: Tensor) -> Any:
        sizes.append(len(batch))
        return F.cross_entropy(model(batch), labels)

    fit(
        network(),
        images,
        recipe(epochs=1, shift=1),
        generator(),
        edit=lambda b, y: (torch.cat([b, b]), y.repeat(2)),
        loss=loss,
    )
    assert sizes == [30] * 4


def test_a_small_rest_is_another_one_in_every_epoch(images: ImageSet) -> None:
    """Of 41 samples in batches of 20 one is left out, less than a twentieth."""
    epochs: list[list[int]] = []

    def edit(batch: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        epochs.append([int(image.double().sum()) for image in batch])
        return batch, labels

    few = images.subset(torch.arange(41))
    fit(network(), few, recipe(epochs=2, batch_size=20), generator(), edit=edit)
    assert [len(batch) for batch in epochs] == [20] * 4
    assert set(epochs[0] + epochs[1]) != set(epochs[2] + epochs[3])


def test_a_set_smaller_than_a_batch_is_one_batch(images: ImageSet) -> None:
    few = images.subset(torch.arange(5))
    model = network()
    fit(model, few, recipe(epochs=1), generator())
    assert not torch.equal(weights(model), weights(network()))


def test_no_epoch_changes_nothing(images: ImageSet) -> None:
    assert torch.equal(
        weights(fit(network(), images, recipe(epochs=0), generator())), weights(network().eval())
    )


def test_an_empty_set_is_refused(images: ImageSet) -> None:
    with pytest.raises(ConfigError, match="empty set"):
        fit(network(), images.subset(torch.arange(0)), recipe(), generator())


def test_frozen_parameters_stay(images: ImageSet) -> None:
    model = network()
    frozen = model.head.weight.requires_grad_(False).detach().clone()
    fit(model, images, recipe(), generator())
    assert torch.equal(model.head.weight, frozen)


def test_watchers_hear_of_every_epoch_and_change_nothing(images: ImageSet) -> None:
    heard: list[tuple[int, bool]] = []
    reported: list[tuple[str, int, int]] = []
    unwatched = fit(network(0.5), images, recipe(epochs=3), generator())
    with (
        call_after_epochs(lambda model, epochs: heard.append((epochs, model.training))),
        report_progress(lambda what, done, total: reported.append((what, done, total))),
    ):
        watched = fit(network(0.5), images, recipe(epochs=3), generator())
    assert heard == [(1, False), (2, False), (3, False)]
    assert torch.equal(weights(unwatched), weights(watched))
    assert (reported[0], reported[-1]) == (("training", 0, 12), ("training", 12, 12))


def test_to_float() -> None:
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(1, 1, 1, 3)
    assert to_float(pixels).flatten().tolist() == pytest.approx([0.0, 0.2, 1.0])


def test_copies_train_apart(images: ImageSet) -> None:
    model = network()
    fit(copy.deepcopy(model), images, recipe(), generator())
    assert torch.equal(weights(model), weights(network()))
