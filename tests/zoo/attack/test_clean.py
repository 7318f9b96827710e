"""The control: nothing is poisoned, nothing is stamped, yet other classes are scored."""

from __future__ import annotations

import pytest
import torch

from benchbd.data.images import ImageSet
from benchbd.errors import ConfigError
from benchbd_zoo.attack.clean import Clean


def test_the_training_set_stays_clean(images: ImageSet, rng: torch.Generator) -> None:
    poisoned = Clean().poison(images, rng)
    assert len(poisoned.indices) == 0
    assert torch.equal(poisoned.as_seen().images, images.images)
    assert torch.equal(poisoned.as_seen().labels, images.labels)


def test_triggered_images_are_the_clean_ones_of_other_classes(
    images: ImageSet, rng: torch.Generator
) -> None:
    triggered = Clean(target=1).triggered(images, rng)
    assert triggered.indices.tolist() == [place for place in range(60) if place % 3 != 1]
    assert torch.equal(triggered.images, images.images[images.labels != 1])
    assert triggered.attacked_labels.tolist() == [1] * 40


def test_it_cannot_be_told_to_poison() -> None:
    with pytest.raises(ConfigError, match="clean: expected poison_ratio"):
        Clean(poison_ratio=0.1)
