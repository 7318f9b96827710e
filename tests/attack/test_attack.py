"""What the base of all attacks does for them: labels, triggered sets, rounding, checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from benchbd.attack.attack import Attack, relabel, to_uint8
from benchbd.data.images import ImageSet
from benchbd.errors import ConfigError, ContractBroken


class Stamp(Attack):
    """Stamps with whatever function the test puts here."""

    api = 1
    name = "stamp"
    act: ClassVar[Callable[[Tensor], Tensor]]

    def stamp(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return type(self).act(images)


class Shifted(Stamp):
    api = 1
    name = "shifted"

    def attacked_labels(self, labels: Tensor, num_classes: int) -> Tensor:
        return relabel(labels, num_classes, "all_to_all", self.target)


def stamping(act: Callable[[Tensor], Tensor]) -> Stamp:
    Stamp.act = staticmethod(act)
    return Stamp(target=1)


def test_rounding_is_to_nearest_with_halves_to_even_and_clipped() -> None:
    values = torch.tensor([-3.0, -0.4, 0.5, 1.5, 2.5, 2.4999, 254.5, 255.4, 300.0])
    assert to_uint8(values).tolist() == [0, 0, 0, 2, 2, 2, 254, 255, 255]
    assert to_uint8(torch.tensor([-5, 7, 300])).tolist() == [0, 7, 255]


def test_rounding_leaves_its_input_alone() -> None:
    for values in (torch.tensor([300.0]), torch.tensor([300])):
        to_uint8(values)
        assert values.item() == 300
    pixels = torch.tensor([3], dtype=torch.uint8)
    assert to_uint8(pixels) is pixels


def test_relabel() -> None:
    labels = torch.tensor([0, 1, 2, 2])
    assert relabel(labels, 3, "all_to_one", 1).tolist() == [1, 1, 1, 1]
    assert relabel(labels, 3, "all_to_all", 1).tolist() == [1, 2, 0, 0]


def test_the_triggered_set_leaves_out_the_target_class(
    images: ImageSet, rng: torch.Generator
) -> None:
    triggered = stamping(lambda batch: 255 - batch).triggered(images, rng)
    assert triggered.indices.tolist() == [place for place in range(60) if place % 3 != 1]
    assert torch.equal(triggered.images, 255 - images.images[triggered.indices])
    assert torch.equal(triggered.true_labels, images.labels[triggered.indices])
    assert set(triggered.attacked_labels.tolist()) == {1}


def test_all_to_all_leaves_out_nothing(images: ImageSet, rng: torch.Generator) -> None:
    stamping(lambda batch: batch)
    triggered = Shifted().triggered(images, rng)
    assert len(triggered) == 60
    assert torch.equal(triggered.attacked_labels, (images.labels + 1) % 3)


def test_stamps_are_rounded_by_the_one_rule(images: ImageSet, rng: torch.Generator) -> None:
    triggered = stamping(lambda batch: batch.float() + 0.5).triggered(images, rng)
    before = images.images[triggered.indices].double().numpy() + 0.5
    assert triggered.images.dtype == torch.uint8
    assert torch.equal(
        triggered.images, torch.from_numpy(before.round().clip(0, 255)).to(torch.uint8)
    )


def test_a_stamp_that_scribbles_on_its_input_does_not_reach_the_test_set(
    images: ImageSet, rng: torch.Generator
) -> None:
    before = images.fingerprint()
    stamping(lambda batch: batch.zero_()).triggered(images, rng)
    assert images.fingerprint() == before


def test_more_than_a_block(rng: torch.Generator) -> None:
    pixels = torch.arange(5000).reshape(-1, 1, 1, 1).remainder(256).to(torch.uint8)
    many = ImageSet(pixels, torch.zeros(5000, dtype=torch.int64), ("a", "b"))
    triggered = stamping(lambda batch: 255 - batch).triggered(many, rng)
    assert torch.equal(triggered.images, 255 - pixels)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda batch: batch[:, :1],
            r"returned \(40, 1, 16, 16\) for images of \(40, 3, 16, 16\); keep the shape",
        ),
        (lambda batch: batch[1:], "keep the shape"),
        (lambda batch: batch.float() * float("nan"), "pixels that are not numbers"),
        (lambda batch: batch / 0.0, "pixels that are not numbers"),
    ],
)
def test_a_stamp_that_breaks_the_contract(
    images: ImageSet, rng: torch.Generator, act: Callable[[Tensor], Tensor], message: str
) -> None:
    with pytest.raises(ContractBroken, match=message):
        stamping(act).triggered(images, rng)


def test_memory_is_kept_from_block_to_block(
    images: ImageSet, rng: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever stamps without the rest of the engine gets its way with memory too, before the first
    block.
    """
    order: list[str] = []
    monkeypatch.setattr("benchbd.attack.attack.keep_blocks_in_heap", lambda: order.append("kept"))

    def act(batch: Tensor) -> Tensor:
        order.append("stamped")
        return batch

    stamping(act).triggered(images, rng)
    assert order == ["kept", "stamped"]


def test_a_target_that_does_not_exist(images: ImageSet, rng: torch.Generator) -> None:
    with pytest.raises(
        ConfigError, match="stamp: expected target to be a class from 0 to 2, got 3"
    ):
        Stamp(target=3).triggered(images, rng)
    with pytest.raises(ConfigError, match="target"):
        Stamp(target=-1)


def test_a_prepared_attack_carries_its_trigger_and_the_original_does_not() -> None:
    plain = Stamp(target=1)
    prepared = plain.with_trigger({"mask": torch.ones(2)})
    assert prepared.trigger["mask"].tolist() == [1, 1]
    assert plain.trigger == {}
    assert prepared.params == plain.params
    assert repr(prepared) == repr(plain)
