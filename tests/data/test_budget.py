"""The defender's clean budget."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from benchbd.data.budget import CleanSet, budget_from_file, draw_budget, require_drawable
from benchbd.data.images import ImageSet
from benchbd.errors import ConfigError, DataError


def numbered(counts: tuple[int, ...]) -> ImageSet:
    """Images that carry their own place in their first two pixels, classes of the given sizes,
    mixed.
    """
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))]
    pixels = torch.zeros(len(labels), 1, 2, 2, dtype=torch.uint8)
    places = torch.arange(len(labels))
    pixels[:, 0, 0, 0], pixels[:, 0, 0, 1] = places % 256, places // 256
    return ImageSet(pixels, labels, tuple("abcdef"[: len(counts)]))


def places(part: ImageSet) -> list[int]:
    return (part.images[:, 0, 0, 0].int() + 256 * part.images[:, 0, 0, 1].int()).tolist()


def draw(
    clean: ImageSet, ratio: float, touched: list[int] | None = None, seed: int = 0
) -> CleanSet:
    untouched = torch.tensor([place for place in range(len(clean)) if place not in (touched or [])])
    return draw_budget(clean, untouched, ratio, torch.Generator().manual_seed(seed))


def test_every_class_gives_the_same_share() -> None:
    clean = numbered((100, 200, 50))
    budget = draw(clean, 0.1)
    assert torch.bincount(budget.all().labels).tolist() == [10, 20, 5]
    assert torch.bincount(budget.validation.labels).tolist() == [2, 4, 1]
    assert len(budget) == 35


def test_the_parts_are_disjoint_and_true_to_the_training_set() -> None:
    clean = numbered((100, 200, 50))
    budget = draw(clean, 0.3)
    train, validation = places(budget.train), places(budget.validation)
    assert not set(train) & set(validation)
    assert len(set(train) | set(validation)) == len(budget) == 105
    assert torch.equal(budget.train.labels, clean.labels[train])


def test_untouched_samples_come_first() -> None:
    clean = numbered((100, 100))
    touched = torch.nonzero(clean.labels == 1)[:90, 0].tolist()
    assert not set(places(draw(clean, 0.1, touched).all())) & set(touched)


def test_originals_of_poisoned_images_fill_up_where_nothing_else_is_left() -> None:
    clean = numbered((100, 100))
    touched = torch.nonzero(clean.labels == 1)[:94, 0].tolist()
    drawn = draw(clean, 0.1, touched).all()
    assert torch.bincount(drawn.labels).tolist() == [10, 10]
    assert len(set(places(drawn)) & set(touched)) == 4


def test_a_smaller_budget_is_part_of_a_larger_one() -> None:
    clean, touched = numbered((100, 200, 50)), list(range(0, 350, 7))
    drawn = [set(places(draw(clean, ratio, touched).all())) for ratio in (0.05, 0.1, 0.5, 1.0)]
    assert all(small < large for small, large in pairwise(drawn))
    assert len(drawn[-1]) == 350


def test_seeds_draw_different_samples_and_the_same_seed_the_same() -> None:
    clean = numbered((100, 100))
    assert places(draw(clean, 0.1, seed=3).train) == places(draw(clean, 0.1, seed=3).train)
    assert places(draw(clean, 0.1, seed=3).train) != places(draw(clean, 0.1, seed=4).train)


def test_too_little_of_a_class_is_an_error_that_names_it() -> None:
    with pytest.raises(
        ConfigError, match=r"budget of 0.03 gives 1 images of class 1 \(b\), 2 are needed"
    ):
        draw(numbered((100, 40)), 0.03)
    assert len(draw(numbered((100, 40)), 0.05)) == 7


@pytest.mark.parametrize(("counts", "ratio"), [((9, 12), 0.16), ((40, 3), 0.3), ((5, 1), 0.9)])
def test_what_cannot_be_drawn_is_known_before(counts: tuple[int, ...], ratio: float) -> None:
    clean = numbered(counts)
    with pytest.raises(ConfigError) as refused:
        require_drawable(clean, ratio)
    with pytest.raises(ConfigError, match=re.escape(str(refused.value))):
        draw(clean, ratio)


def test_the_remedy_helps() -> None:
    clean = numbered((40, 7, 9))
    with pytest.raises(ConfigError, match=r"raise the budget to 0\.215") as refused:
        draw(clean, 0.05)
    assert refused.value
    assert len(draw(clean, 0.215)) == 9 + 2 + 2


def test_a_class_without_images_is_named() -> None:
    clean = numbered((3, 3))
    without = ImageSet(clean.images, clean.labels, (*clean.class_names, "none of it"))
    with pytest.raises(DataError, match=r"class 2 \(none of it\) has no training image"):
        require_drawable(without, 1)


def from_file(clean: ImageSet, path: Path, text: str) -> CleanSet:
    path.write_text(text)
    return budget_from_file(clean, path, torch.Generator().manual_seed(0))


def test_named_samples(tmp_path: Path) -> None:
    clean = numbered((10, 10))
    budget = from_file(clean, tmp_path / "index.txt", "3\n1\n4\n15\n9\n3\n")
    assert sorted(places(budget.all())) == [1, 3, 4, 9, 15]
    assert len(budget.validation) == 1


@pytest.mark.parametrize(
    "text", ["", "5", "5\n5\n", "-1\n2\n", "2\n20\n", "1\nzwei\n", "1.5\n2\n", "1\n" + "9" * 40]
)
def test_index_files_that_cannot_be_used(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"index\.txt"):
        from_file(numbered((10, 10)), tmp_path / "index.txt", text)


def test_an_index_file_that_is_missing_or_no_text(tmp_path: Path) -> None:
    clean, rng = numbered((10, 10)), torch.Generator()
    with pytest.raises(ConfigError, match=r"cannot read the index file .*: No such file"):
        budget_from_file(clean, tmp_path / "absent", rng)
    with pytest.raises(ConfigError, match="cannot read the index file"):
        budget_from_file(clean, tmp_path, rng)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="index file"):
        budget_from_file(clean, tmp_path / "binary", rng)
