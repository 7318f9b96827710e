"""Which samples are poisoned, how many, and what becomes of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from benchbd.attack.poisoning import PoisoningAttack
from benchbd.data.images import ImageSet
from benchbd.data.poisoned import PoisonedSet, State
from benchbd.errors import ConfigError, DataError


class Invert(PoisoningAttack):
    api = 1
    name = "invert"

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return 255 - images


class CleanLabel(Invert):
    api = 1
    name = "clean_label"
    clean_label = True


class WithCovers(Invert):
    """As many covers as poisoned samples, with a trigger of their own, drawn from what was left."""

    api = 1
    name = "with_covers"

    def choose(
        self, labels: Tensor, num_classes: int, rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        poisoned, _ = super().choose(labels, num_classes, rng)
        left = torch.ones(len(labels), dtype=torch.bool)
        left[poisoned] = False
        rest = torch.nonzero(left)[:, 0]
        return poisoned, rest[torch.randperm(len(rest), generator=rng)[: len(poisoned)]]

    def stamp_poison(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return torch.full_like(images, 7)

    def stamp_cover(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return images.float() * 0 + labels[:, None, None, None] + 100


class Overlapping(Invert):
    api = 1
    name = "overlapping"

    def choose(
        self, labels: Tensor, num_classes: int, rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        return torch.tensor([1, 2]), torch.tensor([2, 3])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def poison(images: ImageSet, **params: Any) -> PoisonedSet:
    return Invert(**params).poison(images, generator())


@pytest.mark.parametrize(
    ("ratio_of", "eligible", "ratio", "wanted"),
    [
        ("dataset", "non_target", 0.1, 6),
        ("dataset", "all", 0.5, 30),
        ("dataset", "target", 0.1, 6),
        ("class", "non_target", 0.1, 4),
        ("class", "all", 0.1, 6),
        ("class", "target", 0.5, 10),
        ("class", "non_target", 1.0, 40),
        ("dataset", "non_target", 0.0, 0),
    ],
)
def test_how_many_and_of_which_class(
    images: ImageSet, ratio_of: str, eligible: str, ratio: float, wanted: int
) -> None:
    """60 images, 20 of each of three classes; class 1 is the target."""
    poisoned = poison(images, target=1, poison_ratio=ratio, ratio_of=ratio_of, eligible=eligible)
    classes = set(images.labels[poisoned.indices].tolist())
    assert (poisoned.count(State.POISONED), poisoned.count(State.COVER), len(poisoned.indices)) == (
        wanted,
        0,
        wanted,
    )
    assert classes <= {"non_target": {0, 2}, "all": {0, 1, 2}, "target": {1}}[eligible]


def test_poisoned_samples_are_stamped_and_get_the_target_label(images: ImageSet) -> None:
    poisoned = poison(images, target=2, poison_ratio=0.2)
    assert torch.equal(poisoned.images, 255 - images.images[poisoned.indices])
    assert set(poisoned.labels.tolist()) == {2}
    seen = poisoned.as_seen()
    rest = poisoned.untouched()
    assert torch.equal(seen.images[rest], images.images[rest])
    assert torch.equal(seen.labels[rest], images.labels[rest])


def test_all_eligible_samples_are_drawn_alike(images: ImageSet) -> None:
    drawn = torch.zeros(60)
    for seed in range(300):
        drawn[Invert(target=1, poison_ratio=0.1).poison(images, generator(seed)).indices] += 1
    assert int(drawn[images.labels == 1].sum()) == 0
    expected = 300 * 6 / 40
    chi_squared = float(((drawn[images.labels != 1] - expected) ** 2 / expected).sum())
    assert chi_squared < 73.4  # the 0.1 % point at 40 degrees of freedom


def test_more_than_there_are(images: ImageSet) -> None:
    with pytest.raises(
        ConfigError,
        match=r"asks for 30 samples, but only 20 are eligible \(target\); lower it to 0.333",
    ):
        poison(images, poison_ratio=0.5, eligible="target")


def test_the_ratio_that_an_error_proposes_works(images: ImageSet) -> None:
    few = images.subset(torch.arange(29))
    with pytest.raises(ConfigError, match=r"lower it to 0\.655"):
        poison(few, poison_ratio=0.9)
    assert poison(few, poison_ratio=0.655).count(State.POISONED) == 19


def test_a_target_that_does_not_exist(images: ImageSet) -> None:
    with pytest.raises(ConfigError, match="from 0 to 2, got 5"):
        poison(images, target=5)


def test_the_same_seed_poisons_the_same_samples(images: ImageSet) -> None:
    first, second, other = (
        Invert(poison_ratio=0.3).poison(images, generator(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first.indices, second.indices)
    assert not torch.equal(first.indices, other.indices)


def test_clean_label_keeps_the_label(images: ImageSet) -> None:
    poisoned = CleanLabel(target=1, eligible="target", ratio_of="class", poison_ratio=0.5).poison(
        images, generator()
    )
    assert poisoned.labels.tolist() == [1] * 10
    assert torch.equal(poisoned.as_seen().labels, images.labels)
    assert poisoned.count(State.POISONED) == 10


def test_covers_carry_their_own_trigger_and_keep_their_label(images: ImageSet) -> None:
    poisoned = WithCovers(target=1, poison_ratio=0.2).poison(images, generator())
    assert (poisoned.count(State.POISONED), poisoned.count(State.COVER)) == (12, 12)
    state = poisoned.state()
    seen = poisoned.as_seen()
    bad, cover = state == State.POISONED, state == State.COVER
    assert set(seen.images[bad].flatten().tolist()) == {7}
    assert set(seen.labels[bad].tolist()) == {1}
    assert torch.equal(seen.labels[cover], images.labels[cover])
    assert torch.equal(seen.images[cover].float().mean((1, 2, 3)), 100.0 + images.labels[cover])
    assert len(poisoned.untouched()) == 36


def test_a_sample_cannot_be_poisoned_and_cover(images: ImageSet) -> None:
    with pytest.raises(DataError, match="each sample at most once"):
        Overlapping().poison(images, generator())
