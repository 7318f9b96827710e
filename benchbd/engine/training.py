"""The one training loop: uint8 images on the device, augmentation of whole batches, and bf16 where
it is faster.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.data.images import ImageSet
from benchbd.engine.feed import Edit, batch_sizes, feed_of
from benchbd.engine.hardware import Hardware, hardware
from benchbd.engine.lookahead import Lookahead
from benchbd.engine.progress import epoch_done, track
from benchbd.engine.recipe import Recipe
from benchbd.engine.units import NORMS
from benchbd.errors import ConfigError, Diverged
from benchbd.seeds import draw_seed, fork, global_random_state

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""A function (model, images (B, C, H, W) in [0, 1], labels (B,)) that returns the loss to minimise,
a scalar.
"""

Course = Callable[[int, int], float]
"""A function (steps done, steps of an epoch) that returns the learning rate as a share of the
recipe's `lr`, for schedules of a method's own.
"""

AfterStep = Callable[[nn.Module], None]
"""A function that is called with the model after every step of the optimizer, to keep its weights
within a rule.
"""


def device_of(model: nn.Module) -> torch.device:
    """Return the device on which a model lies: that of its first parameter.

    >>> device_of(model)
    device(type='cpu')
    """
    return next(model.parameters()).device


def to_float(images: Tensor) -> Tensor:
    """Return the images (N, C, H, W) in [0, 1] that a model takes, from uint8 images of the same
    shape.

    >>> to_float(torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)).flatten()
    tensor([0., 1.])
    """
    return images.to(torch.float32, memory_format=torch.channels_last).div_(255)


def fit(
    model: nn.Module,
    train: ImageSet,
    recipe: Recipe,
    rng: torch.Generator,
    *,
    loss: Loss | None = None,
    edit: Edit | None = None,
    course: Course | None = None,
    after_step: AfterStep | None = None,
    what: str = "training",
) -> nn.Module:
    """Train `model` in place and return it in eval mode, on the device where it lies.

    train: labelled images, on any device. recipe: epochs, optimizer, schedule, crops. rng: every
    draw comes from it. An epoch has the batches of `batch_sizes`. Raises `ConfigError` for an empty
    set, and `Diverged` at the end of an epoch in which the loss was not a number.

    loss: a function of the model, images (B, C, H, W) in [0, 1] and labels (B,) that returns the
    scalar to minimise; without it, the cross-entropy. edit: a function of uint8 images (B, C, H, W)
    and labels (B,) that returns the batch to train on instead, before it is cropped. course: a
    function of the steps done and the steps of an epoch that returns the learning rate as a share
    of `recipe.lr`; without it, the schedule of the recipe. after_step: called with the model after
    each step, to keep its weights within a rule. what: the name under which progress is shown.

    >>> def cautious(model, images, labels):
    ...     return F.cross_entropy(model(images), labels) + 1e-3 * model.head.weight.square().sum()
    >>> fitted = fit(model, clean.train, Recipe(epochs=1, lr=0.01), rng, loss=cautious)
    >>> fitted is model, fitted.training
    (True, False)
    """
    if not len(train):
        raise ConfigError("cannot train on an empty set of images")
    device = device_of(model)
    machine = hardware(str(device), recipe.precision)
    order, crops, chance = fork(rng), fork(rng), draw_seed(rng)
    feed = feed_of(train, device, recipe, edit, crops)
    sizes = batch_sizes(len(train), recipe.batch_size)
    steps = len(sizes)
    optimizer = recipe.build_optimizer(_groups(model, recipe))
    factor = (
        recipe.factor(steps * (recipe.horizon or recipe.epochs))
        if course is None
        else partial(_along, course, steps)
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    descend = _step(model, optimizer, machine, loss or _cross_entropy(recipe), recipe.compile)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    lookahead = Lookahead(model, recipe.epochs * steps) if recipe.lookahead else None
    progress = iter(track(range(recipe.epochs * steps), what))
    with global_random_state(chance):
        for epoch in range(recipe.epochs):
            model.train()
            losses = []
            for images, labels in feed.batches(feed.order(order), sizes):
                next(progress, None)
                losses.append(descend(to_float(images), labels))
                schedule.step()
                if lookahead is not None:
                    lookahead.step()
                if after_step is not None:
                    with torch.no_grad():
                        after_step(model)
            _require_finite(torch.stack(losses), what, epoch + 1)
            epoch_done(model.eval(), epoch + 1)
    next(progress, None)
    return model.eval()


def _groups(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Return the weights to train, in groups for an optimizer. Shifts of normalisation layers learn
    `shift_rate` times as fast as the others, and decay as fast as they do (Jordan 2024,
    2404.00498).
    """
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    if recipe.shift_rate == 1:
        return [{"params": trained}]
    shifts = {module.bias for module in model.modules() if isinstance(module, NORMS)}
    rate, decay = recipe.shift_rate * recipe.lr, recipe.weight_decay / recipe.shift_rate
    fast = [weight for weight in trained if weight in shifts]
    others = [weight for weight in trained if weight not in shifts]
    return [{"params": others}, {"params": fast, "lr": rate, "weight_decay": decay}]


def _along(course: Course, steps: int, done: int) -> float:
    return course(done, steps)


def _cross_entropy(recipe: Recipe) -> Loss:
    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(
            model(images).float(), labels, label_smoothing=recipe.label_smoothing
        )

    return loss


def _step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    machine: Hardware,
    loss: Loss,
    compiled: bool,
) -> Callable[[Tensor, Tensor], Tensor]:
    # on a GPU a captured CUDA graph spares the launches of kernels, which outweigh their work in
    # small batches
    mode = "reduce-overhead" if machine.device.type == "cuda" else "default"
    network = cast(nn.Module, torch.compile(model, mode=mode)) if compiled else model

    def descend(images: Tensor, labels: Tensor) -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        with machine.autocast(images):
            value = loss(network, images, labels)
        value.backward()
        optimizer.step()
        return value.detach()

    return descend


def _require_finite(losses: Tensor, what: str, epoch: int) -> None:
    if not bool(torch.isfinite(losses).all()):
        raise Diverged(
            f"{what} diverged in epoch {epoch}: the loss is not a number; lower the learning rate"
        )
