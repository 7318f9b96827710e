"""CutMix: what is pasted, where, and what it weighs."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import ImageSet, Recipe, fit
from benchbd_zoo.defense import cutmix
from benchbd_zoo.defense.cutmix import Box, CutMix, drawn_box, mixed
from support.tiny_networks import InPlace, classifier, random_images

TRAIN = random_images(40)
RECIPE = Recipe(epochs=2, batch_size=20, lr=0.05, shift=0, precision="fp32")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def loss_of(monkeypatch: pytest.MonkeyPatch, **parameters: Any) -> Any:
    """The loss with which the method trains."""
    taken: list[Any] = []

    def noted(
        model: nn.Module,
        train: ImageSet,
        recipe: Recipe,
        rng: torch.Generator,
        loss: Any,
        what: str,
    ) -> nn.Module:
        taken.append(loss)
        return model

    monkeypatch.setattr(cutmix, "fit", noted)
    CutMix(**parameters).train(lambda: nn.Identity(), TRAIN, RECIPE, seeded())
    return taken[0]


class ProgressView(nn.Module):
    """Notes what it is shown; scores are sums of pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.shown = torch.empty(0)

    def forward(self, images: Tensor) -> Tensor:
        self.shown = images
        return torch.stack([images.sum((1, 2, 3)), images[:, 0].sum((1, 2))], 1) / 10


def test_a_box_is_pasted_and_nothing_else_changes() -> None:
    images, others = torch.zeros(2, 3, 4, 5), torch.ones(2, 3, 4, 5)
    pasted = mixed(images, others, Box(1, 3, 2, 5))
    assert pasted[0, 0].tolist() == [[0] * 5, [0, 0, 1, 1, 1], [0, 0, 1, 1, 1], [0] * 5]
    assert (pasted == pasted[:1, :1]).all() and (images == 0).all()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.75, 1.0])
def test_boxes_lie_inside_and_have_their_size_where_no_border_cuts_them(share: float) -> None:
    draws = numpy.random.default_rng(0)
    boxes = [drawn_box(32, 24, share, draws) for _ in range(300)]
    rows, columns = (int(side * (1 - share) ** 0.5) // 2 * 2 for side in (32, 24))
    assert all(0 <= b.top <= b.bottom <= 32 and 0 <= b.left <= b.right <= 24 for b in boxes)
    assert max(b.area for b in boxes) <= rows * columns
    inner = [b for b in boxes if b.top > 0 and b.left > 0 and b.bottom < 32 and b.right < 24]
    assert all((b.bottom - b.top, b.right - b.left) == (rows, columns) for b in inner)


def test_labels_weigh_as_much_as_their_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    loss, model = loss_of(monkeypatch, cutmix_prob=1.0), ProgressView()
    # every image has a level of its own, so that each pixel tells where it is from
    images = torch.arange(1.0, 9)[:, None, None, None].expand(8, 1, 6, 6) / 8
    labels = torch.tensor([0, 1] * 4)
    partly = 0
    for _ in range(20):
        value = float(loss(model, images, labels))
        sources = (model.shown * 8).round().long()[:, 0] - 1
        pasted = sources != torch.arange(8)[:, None, None]
        share = pasted.double().mean((1, 2)).max()
        other = [
            next((s for s in source.flatten().tolist() if s != i), i)
            for i, source in enumerate(sources)
        ]
        scores = model(model.shown)
        expected = (1 - share) * F.cross_entropy(scores, labels) + share * F.cross_entropy(
            scores, labels[other]
        )
        assert value == pytest.approx(float(expected), rel=1e-5)
        partly += bool(0 < share < 1)
    assert partly > 5


def test_without_mixing_it_is_the_training_of_the_recipe() -> None:
    plain = fit(classifier(InPlace()), TRAIN, RECIPE, _second(seeded()))
    same = CutMix(cutmix_prob=0).train(lambda: classifier(InPlace()), TRAIN, RECIPE, seeded())
    other = CutMix(cutmix_prob=1).train(lambda: classifier(InPlace()), TRAIN, RECIPE, seeded())
    assert torch.equal(plain.head.weight, same.head.weight)
    assert not torch.equal(plain.head.weight, other.head.weight)
    assert not other.training


def _second(rng: torch.Generator) -> torch.Generator:
    """After the draw that seeds the mixing."""
    torch.randint(0, 2**62, (), generator=rng)
    return rng


def test_as_many_batches_are_mixed_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    loss, model = loss_of(monkeypatch, cutmix_prob=0.3, beta=100.0), ProgressView()
    images = torch.arange(1.0, 9)[:, None, None, None].expand(8, 1, 6, 6) / 8
    mixed_batches = 0
    for _ in range(200):
        loss(model, images, torch.zeros(8, dtype=torch.int64))
        mixed_batches += not torch.equal(model.shown, images)
    assert 40 <= mixed_batches <= 80


class Drawn:
    """Hands out what it was told to, in place of chance."""

    def __init__(self, share: float, *centre: int) -> None:
        self.share, self.centre = share, list(centre)

    def random(self) -> float:
        return 0.2

    def permutation(self, count: int) -> Any:
        return numpy.array([3, 5, 0, 7, 1, 2, 6, 4])

    def beta(self, first: float, second: float) -> float:
        return self.share

    def integers(self, below: int) -> int:
        return self.centre.pop(0)


@pytest.mark.parametrize(
    ("share", "row", "column", "box"),
    [
        (0.3, 2, 20, (0, 15, 10, 24)),
        (0.75, 16, 11, (8, 24, 5, 17)),
        (0.9, 31, 0, (26, 32, 0, 3)),
        (0.5, 10, 5, (0, 21, 0, 13)),
    ],
)
def test_as_the_reference_boxes(
    share: float, row: int, column: int, box: tuple[int, int, int, int]
) -> None:
    """`rand_bbox` of clovaai/CutMix-PyTorch at 2d8eb68 (train.py), whose width is the height."""
    draws: Any = Drawn(share, row, column)
    assert drawn_box(32, 24, share, draws) == Box(*box)


@pytest.mark.parametrize(
    ("share", "centre", "expected"), [(0.4, (1, 4), 3.414705), (0.7, (3, 3), 3.153088)]
)
def test_as_the_reference_the_loss_of_a_mixed_batch(
    monkeypatch: pytest.MonkeyPatch, share: float, centre: tuple[int, int], expected: float
) -> None:
    """The lines of `train` of clovaai/CutMix-PyTorch at 2d8eb68 (train.py) with the same draws."""
    monkeypatch.setattr(numpy.random, "default_rng", lambda _: Drawn(share, *centre))
    loss, batch = loss_of(monkeypatch), random_images(8, seed=1)
    found = loss(classifier(InPlace()), batch.images / 255, batch.labels)
    assert float(found.detach()) == pytest.approx(expected, rel=1e-5)
