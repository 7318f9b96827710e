"""Refool: each image against a reckoning of its own in double precision, which reflection it gets,
and selection.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from benchbd.api import Recipe
from benchbd.data.images import ImageSet
from benchbd.data.poisoned import State
from benchbd.errors import ConfigError
from benchbd_zoo.attack.parts.reflection import (
    blurred_on,
    doubled_on,
    draw_reflections,
    layers,
    to_light,
    veils,
)
from benchbd_zoo.attack.refool import Refool

Array = np.ndarray[Any, Any]
SHAPES = [(3, 16, 16), (1, 8, 8), (3, 12, 20), (3, 32, 32)]
OUT_OF_FOCUS = [
    [58, 52, 65, 77, 89, 122, 183, 198, 176, 155, 162],
    [216, 213, 198, 184, 183, 213, 205, 153, 111, 96, 82],
    [105, 105, 107, 157, 199, 191, 137, 105, 105, 105, 105],
]
"""Of BackdoorBox; see `test_as_the_reference_puts_a_reflection_out_of_focus`."""


def ghost(light: Array, shift: Array, weight: float) -> Array:
    """Two copies of a picture (C, H, W); only what both show, stretched to the old size."""
    axes = []
    for length, by in zip(light.shape[1:], shift, strict=True):
        axes.append(by + (np.arange(length) + 0.5) / length * (length - by) - 0.5)
    early = np.meshgrid(*axes, indexing="ij")
    late = np.meshgrid(*(axis - by for axis, by in zip(axes, shift, strict=True)), indexing="ij")
    read = [
        [map_coordinates(channel, grid, order=1, mode="nearest") for channel in light]
        for grid in (early, late)
    ]
    return weight * np.array(read[0]) + (1 - weight) * np.array(read[1])


def blurred(light: Array, sigma: float) -> Array:
    result = np.zeros_like(light)
    reach = int(np.ceil(2 * sigma))
    _, height, width = light.shape
    for row in range(height):
        for column in range(width):
            top, left = max(0, row - reach), max(0, column - reach)
            part = light[:, top : row + reach + 1, left : column + reach + 1]
            y, x = np.indices(part.shape[1:])
            weight = np.exp(-((y + top - row) ** 2 + (x + left - column) ** 2) / (2 * sigma**2))
            result[:, row, column] = (part * weight).sum((1, 2)) / weight.sum()
    return result


def by_hand(image: Array, layer: Array, trigger: dict[str, Array], number: int) -> Array:
    """x' of one image (C, H, W) on the scale to 255, from the reflected light (C, H, W)."""
    light, alpha = (image / 255) ** 2.2, trigger["alpha_t"][number]
    if trigger["is_ghost"][number]:
        return 255 * (alpha * light + (1 - alpha) * layer) ** (1 / 2.2)
    dimmed = layer.copy()
    for channel in range(len(image)):
        bright = (layer + light)[channel]
        mean = max(1.0, bright[bright > 1].sum() / ((bright > 1).sum() + 1e-6))
        dimmed[channel] = (layer[channel] - (mean - 1) * trigger["attenuation"][number]).clip(0, 1)
    veil = np.outer(trigger["rows"][number], trigger["columns"][number])
    return 255 * (dimmed * veil * (1 - alpha / 2) + alpha * light).clip(0, 1) ** (1 / 2.2)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("alpha_t", [None, 0.4])
def test_every_image_carries_its_reflection(
    prepared: Any, images_of: Any, shape: tuple[int, int, int], alpha_t: float
) -> None:
    images = images_of(*shape)
    attack = prepared(Refool(candidates=12, alpha_t=alpha_t), images)
    which = attack.which(images.images).numpy()
    trigger = {name: value.double().numpy() for name, value in attack.trigger.items()}
    assert {bool(trigger["is_ghost"][number]) for number in which} == {True, False}
    stamped = attack.apply(attack.stamp, images.images, images.labels, torch.Generator()).numpy()
    for image, found, number in zip(images.images.numpy(), stamped, which, strict=True):
        np.testing.assert_allclose(
            found, by_hand(image, trigger["layers"][number], trigger, number), atol=0.51
        )


@pytest.mark.parametrize(
    ("shape", "longest"), [((3, 12, 20), 20), ((1, 8, 8), 8), ((3, 16, 16), 560), ((3, 20, 10), 40)]
)
def test_the_reflected_light(
    images_of: Any, rng: torch.Generator, shape: tuple[int, int, int], longest: int
) -> None:
    images = images_of(*shape, count=8).images
    drawn = draw_reflections(8, 0.5, None, rng)
    drawn["is_ghost"] = torch.arange(8) % 2 == 0
    found = layers(to_light(images), drawn, longest).double().numpy()
    scale = max(shape[1:]) / longest
    for number, image in enumerate(images.double().numpy()):
        light = (image / 255) ** 2.2
        if number % 2 == 0:
            expected = ghost(
                light, drawn["shift"][number].numpy() * scale, float(drawn["ghost_alpha"][number])
            )
        else:
            expected = blurred(light, float(drawn["sigma"][number]) * scale)
        np.testing.assert_allclose(found[number], expected, atol=1e-5)


def test_what_is_drawn_lies_in_the_ranges_of_the_paper(rng: torch.Generator) -> None:
    drawn = draw_reflections(4000, 0.49, None, rng)
    assert drawn["is_ghost"].double().mean() == pytest.approx(0.49, abs=0.03)
    assert drawn["shift"].unique().tolist() == [3, 4, 5, 6, 7, 8]
    spans = {
        "alpha_t": (0.55, 0.95),
        "sigma": (1, 5),
        "attenuation": (1.08, 1.18),
        "ghost_alpha": (0.15, 0.85),
    }
    for name, (low, high) in spans.items():
        assert low <= drawn[name].min() < low + 0.02
        assert high - 0.02 < drawn[name].max() <= high
    assert draw_reflections(5, 0.49, 0.4, rng)["alpha_t"].tolist() == [0.4] * 5


def test_the_veil_is_thickest_in_the_middle_and_lies_anywhere_along_the_shorter_side(
    rng: torch.Generator,
) -> None:
    rows, columns = veils(40, 10, draw_reflections(50, 0.5, None, rng))
    place = np.linspace(-3 + 3 / 40, 3 - 3 / 40, 40)
    np.testing.assert_allclose(rows, np.tile(np.exp(-(place**2) / 4), (50, 1)), atol=1e-6)
    assert len({tuple(line) for line in columns.tolist()}) > 20
    assert all(
        any(np.allclose(line, rows[0, start : start + 10]) for start in range(31))
        for line in columns
    )


def test_reflections_come_from_other_classes_only(prepared: Any, images_of: Any) -> None:
    """Images of the target are black, so their reflections would be, too."""
    images = images_of(3, 16, 16)
    pixels = images.images.clone()
    pixels[images.labels == 1] = 0
    trigger = prepared(
        Refool(target=1, candidates=100), ImageSet(pixels, images.labels, images.class_names)
    ).trigger
    assert trigger["layers"].shape == (40, 3, 16, 16)
    assert (trigger["layers"].float().mean((1, 2, 3)) > 0.1).all()


def test_which_one_an_image_gets_follows_from_its_pixels_and_the_weights(
    prepared: Any, images_of: Any
) -> None:
    images = images_of(3, 8, 8, count=4000).images
    attack = prepared(Refool(candidates=4), images_of(3, 8, 8))
    which = attack.which(images)
    assert torch.equal(attack.which(images.flip(0)).flip(0), which)
    assert (torch.bincount(which, minlength=4) / 4000 - 0.25).abs().max() < 0.03
    weighed = attack.with_trigger(
        attack.trigger | {"weights": torch.tensor([0.0, 3, 0, 1], dtype=torch.float64)}
    )
    shares = torch.bincount(weighed.which(images), minlength=4) / 4000
    assert shares[[0, 2]].tolist() == [0, 0]
    assert shares[1] == pytest.approx(0.75, abs=0.03)


def test_clean_label_is_the_rule(prepared: Any, images: ImageSet, rng: torch.Generator) -> None:
    poisoned = prepared(Refool(target=2, candidates=9), images).poison(images, rng)
    assert poisoned.count(State.POISONED) == 8
    assert (poisoned.indices % 3 == 2).all()
    assert torch.equal(poisoned.as_seen().labels, images.labels)


def test_the_dirty_label_variant_relabels_other_classes(
    prepared: Any, images: ImageSet, rng: torch.Generator
) -> None:
    attack = prepared(
        Refool(target=2, candidates=9, eligible="non_target", ratio_of="dataset", poison_ratio=0.1),
        images,
    )
    poisoned = attack.poison(images, rng)
    assert poisoned.labels.tolist() == [2] * 6
    assert not (poisoned.indices % 3 == 2).any()


@pytest.mark.parametrize("fooled_by", [0, 2, 7])
def test_selection_weighs_a_candidate_by_whom_it_fooled(
    monkeypatch: pytest.MonkeyPatch, prepared: Any, images_of: Any, build_for: Any, fooled_by: int
) -> None:
    """A stand-in for training takes images with one of the reflections for the target, and no
    others; 7 is none.
    """
    train = images_of(3, 8, 8, count=600)
    attack = prepared(Refool(candidates=4), train)
    held_out = train.subset(torch.arange(0, 600, 10))
    which = attack.which(held_out.images[held_out.labels != 0])
    assert set(which.tolist()) == {0, 1, 2, 3}
    monkeypatch.setattr("benchbd_zoo.attack.refool.fit", lambda model, *_, **__: model)
    monkeypatch.setattr(
        "benchbd_zoo.attack.refool.predict", lambda *_: torch.where(which == fooled_by, 0, 1)
    )
    weights = attack._weigh(
        attack.trigger, train, lambda: build_for(train), Recipe(), torch.Generator()
    )
    expected = [
        float((which == number).sum()) if number == fooled_by else 0.0 for number in range(4)
    ]
    assert weights.tolist() == (expected if any(expected) else [1.0] * 4)


def test_selection_really_trains(prepared: Any, images_of: Any) -> None:
    train = images_of(1, 8, 8, count=60)
    weights = prepared(Refool(candidates=5, rounds=1), train).trigger["weights"]
    assert weights.shape == (5,)
    assert (weights >= 0).all()
    assert weights.sum() > 0


def test_a_set_of_one_class_has_nothing_to_reflect(prepared: Any, images: ImageSet) -> None:
    alone = ImageSet(images.images, torch.zeros(60, dtype=torch.int64), images.class_names)
    with pytest.raises(ConfigError, match="there is nothing to reflect"):
        prepared(Refool(), alone)


def window(side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Slopes of colour and the waves that are reflected in them, (3, side, side) uint8."""
    place = torch.arange(side) * 16 / side
    y, x = torch.meshgrid(place, place, indexing="ij")
    slopes = torch.stack([10 * x + 5 * y, 255 - 12 * x + 3 * y, 8 * y + 60])
    waves = torch.stack([127 + 120 * torch.sin(0.5 * x + 0.3 * y + shift) for shift in range(3)])
    return slopes.clamp(0, 255).to(torch.uint8), waves.to(torch.uint8)


def one_reflection(is_ghost: bool) -> dict[str, torch.Tensor]:
    """What `draw_reflections` draws, with figures of our choice."""
    return {
        "is_ghost": torch.tensor([is_ghost]),
        "ghost_alpha": torch.tensor([0.7]),
        "shift": torch.tensor([[3, 4]]),
        "sigma": torch.tensor([1.5]),
        "offset": torch.zeros(1, 2),
    }


def test_as_the_reference_doubles_a_reflection() -> None:
    """`AddTriggerMixin._add_trigger` of THUYimingLi/BackdoorBox at af3afd1 (core/attacks/Refool.py)
    with alpha_b 0.7 on images of `max_image_size` 16: row 8 of red. It truncates to whole levels,
    and differs within the shift from the edges, where its copies end.
    """
    slopes, waves = window(16)
    layer = layers(to_light(waves[None]), one_reflection(True), 16)
    found = 255 * doubled_on(to_light(slopes[None]), layer, torch.tensor(0.7))
    reference = [83, 94, 111, 128, 142, 152, 155, 156, 155, 155]
    assert found[0, 0, 8, 3:13].floor().tolist() == reference


@pytest.mark.slow
def test_as_the_reference_puts_a_reflection_out_of_focus() -> None:
    """The same function with sigma 1.5 and attenuation 1.1 at its `max_image_size` of 560: every
    fiftieth pixel of row 280 of all colours, truncated there to whole levels.
    """
    slopes, waves = window(560)
    drawn = one_reflection(False)
    layer = layers(to_light(waves[None]), drawn, 560)
    rows, columns = veils(560, 560, drawn)
    veil = rows[:, None, :, None] * columns[:, None, None, :]
    found = 255 * blurred_on(
        to_light(slopes[None]), layer, torch.tensor(0.7), torch.tensor(1.1), veil
    )
    truncated = found[0, :, 280, 30::50] - torch.tensor(OUT_OF_FOCUS)
    assert truncated.min() > -0.01
    assert truncated.max() < 1.15
