"""Checks of models: they have features and a head, for any number of channels and classes, and
weights drawn from a seed.
"""

from __future__ import annotations

import torch

from benchbd.api import ImageShape, Model, logits
from benchbd.engine.classifier import Classifier
from benchbd.errors import ContractBroken, NotApplicable
from benchbd.testing.check import check, require
from benchbd.testing.result import RuleBroken
from benchbd.testing.subject import Subject
from benchbd.testing.tiny_data import SHAPES
from benchbd.testing.trial import same


@check("smoke", Model)
def has_features_and_head(subject: Subject) -> None:
    """What it builds has `features(x)` and a linear `head`; the logits are head(features), one row
    for each image.
    """
    for shape in _shapes(subject):
        model, images = _built(subject, shape), _images(shape)
        with torch.no_grad():
            found = model.features(images)
        expected = (len(images), model.head.in_features)
        require(
            found.shape == expected,
            f"features of {tuple(images.shape)} are {tuple(found.shape)}, expected {expected}",
        )
        require(
            model.head.out_features == 7,
            f"asked for 7 classes, its head gives {model.head.out_features}",
        )


@check("smoke", Model)
def seed_gives_the_weights(subject: Subject) -> None:
    """The same seed gives the same initial weights, another seed others."""
    first, second, other = (
        _built(subject, _shapes(subject)[0], seed).network for seed in (1, 1, 2)
    )
    require(
        same(first, second),
        "two models of one seed differ; initialise with torch's own functions, which the core has "
        "seeded",
    )
    require(
        not same(first, other),
        "models of different seeds have the same weights; do not seed in `build`",
    )


@check("smoke", Model)
def single_images_work(subject: Subject) -> None:
    """In eval mode an image gets the same logits alone as among others."""
    shape, *_ = _shapes(subject)
    model, images = _built(subject, shape), (_images(shape) * 255).to(torch.uint8)
    together = logits(model, images)
    alone = torch.cat([logits(model, image[None]) for image in images])
    close = torch.allclose(together, alone, atol=1e-3, rtol=1e-3)
    require(
        close,
        "an image alone gets other logits than in a batch; use nothing that looks across the "
        "batch in eval mode",
    )


@check("smoke", Model)
def can_be_trained(subject: Subject) -> None:
    """Gradients reach its weights."""
    shape, *_ = _shapes(subject)
    model = _built(subject, shape).train()
    model(_images(shape)).square().sum().backward()
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    reached = sum(parameter.grad is not None for parameter in weights)
    require(
        reached > 0.9 * len(weights),
        f"a gradient reaches {reached} of {len(weights)} weights; compute nothing under no_grad",
    )


def _shapes(subject: Subject) -> list[ImageShape]:
    """Return the shapes that the model takes. Raises like `Subject.trial` when it takes none."""
    subject.trial  # noqa: B018 - it has been built for one of them
    return [shape for shape in SHAPES if _takes(subject, shape)]


def _takes(subject: Subject, shape: ImageShape) -> bool:
    try:
        _built(subject, shape)
    except NotApplicable:
        return False
    return True


def _built(subject: Subject, shape: ImageShape, seed: int = 0) -> Classifier:
    channels = shape[0]
    try:
        return subject.plugin_as(Model).restore(
            7, shape, (0.5,) * channels, (0.25,) * channels, seed
        )
    except ContractBroken as error:
        raise RuleBroken(str(error)) from None


def _images(shape: ImageShape) -> torch.Tensor:
    return torch.rand(5, *shape, generator=torch.Generator().manual_seed(0))
