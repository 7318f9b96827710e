"""What plugins are tried on: images whose class can be seen, and models that have learned both
tasks.
"""

from __future__ import annotations

import pytest
import torch

from benchbd.data.poisoned import State
from benchbd.testing.tiny_data import CLASS_COUNT, IMAGE_PIXELS, attack_result, builder, images


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_class_is_the_bright_quarter(split: str) -> None:
    found = images(split)  # type: ignore[arg-type]
    half = IMAGE_PIXELS // 2
    quarters = found.images.float().reshape(-1, 3, 2, half, 2, half).mean((1, 3, 5)).flatten(1)
    assert torch.equal(quarters.argmax(1), found.labels)
    assert torch.bincount(found.labels).tolist() == [len(found) // CLASS_COUNT] * CLASS_COUNT


def test_a_builder_builds_another_model_at_each_call_and_the_same_at_each_run() -> None:
    def weights(number: int) -> torch.Tensor:
        build = builder()
        return [build() for _ in range(number)][-1].head.weight  # type: ignore[return-value, union-attr]

    assert torch.equal(weights(1), weights(1)) and not torch.equal(weights(1), weights(2))


@pytest.mark.slow
@pytest.mark.parametrize(("ratio", "asr"), [(0.2, 1.0), (0.0, 0.0)])
def test_a_model_has_learned_the_images_and_the_patch_where_there_is_one(
    ratio: float, asr: float
) -> None:
    result = attack_result("vgg_bn", ratio)
    assert (result.metrics().acc, result.metrics().asr) == (1.0, asr)
    assert result.train.count(State.POISONED) == round(ratio * len(result.train))


def test_it_is_made_once() -> None:
    assert attack_result() is attack_result()
