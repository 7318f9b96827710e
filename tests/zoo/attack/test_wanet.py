"""WaNet: the flow, the warp against a sampler of our own, and what a batch is made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchbd.data.images import ImageSet
from benchbd.engine.recipe import Recipe
from benchbd.engine.training import Edit
from benchbd.errors import ConfigError
from benchbd_zoo.attack import wanet
from benchbd_zoo.attack.wanet import WaNet

Array = np.ndarray[Any, Any]

SHAPES = [(1, 8, 8), (3, 16, 16), (3, 12, 20), (3, 32, 32), (3, 224, 224)]


def sampled(image: Array, grid: Array) -> Array:
    """(C, H, W) read at a grid (H, W, 2) from -1 to 1, corner to corner; zero outside
    of the image.
    """
    _, height, width = image.shape
    x, y = (grid[..., 0] + 1) / 2 * (width - 1), (grid[..., 1] + 1) / 2 * (height - 1)
    result = np.zeros((len(image), *grid.shape[:2]))
    for row in (np.floor(y).astype(int), np.floor(y).astype(int) + 1):
        for column in (np.floor(x).astype(int), np.floor(x).astype(int) + 1):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            weight = (1 - abs(y - row)) * (1 - abs(x - column)) * inside
            result += weight * image[:, row.clip(0, height - 1), column.clip(0, width - 1)]
    return result


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 666, 2**32 - 1])
def test_errata_no_seed_fails_on_digits_of_28_pixels(
    prepared: Any, images_of: Any, seed: int
) -> None:
    images = images_of(1, 28, 28)
    attack = prepared(WaNet(), images, seed)
    stamped = attack.apply(attack.stamp, images.images, images.labels, torch.Generator())
    assert stamped.shape == images.images.shape and not torch.equal(stamped, images.images)


def grid_of(flow: Tensor, s: float = 0.5, rescale: float = 1.0) -> Array:
    """G of a flow (H, W, 2)."""
    height, width, _ = flow.shape
    row, column = np.indices((height, width))
    here = np.stack([2 * column / (width - 1) - 1, 2 * row / (height - 1) - 1], axis=2)
    return ((here + s * flow.double().numpy() / height) * rescale).clip(-1, 1)


def edit_of(
    attack: WaNet, images: ImageSet, monkeypatch: pytest.MonkeyPatch, batch: int = 20, seed: int = 0
) -> Edit:
    """What `train` hands to the training loop to change batches with."""
    handed: list[Edit] = []

    def caught(
        model: nn.Module,
        train: ImageSet,
        recipe: Recipe,
        rng: torch.Generator,
        *,
        edit: Edit,
        what: str,
    ) -> nn.Module:
        handed.append(edit)
        return model

    monkeypatch.setattr(wanet, "fit", caught)
    attack.train(
        nn.Linear(1, 1), images, Recipe(batch_size=batch), torch.Generator().manual_seed(seed)
    )
    return handed[0]


@pytest.mark.parametrize("k", [2, 4, 6])
def test_the_control_points_have_mean_size_one(prepared: Any, images_of: Any, k: int) -> None:
    """With corners aligned, every fifth pixel of 5 (k - 1) + 1 is a control point itself."""
    size = 5 * (k - 1) + 1
    points = prepared(WaNet(k=k), images_of(1, size, size)).trigger["flow"][::5, ::5]
    assert points.shape == (k, k, 2)
    assert points.abs().mean().item() == pytest.approx(1, abs=1e-5)
    assert points.min() < 0 < points.max()


def test_the_flow_is_drawn_from_the_seed(prepared: Any, images: ImageSet) -> None:
    first, again, other = (prepared(WaNet(), images, seed).trigger["flow"] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert (first - other).abs().mean() > 0.1


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("s", "rescale"), [(0.5, 1.0), (3.0, 1.1)])
def test_the_warp_is_a_bilinear_reading_at_the_grid(
    prepared: Any,
    images_of: Any,
    rng: torch.Generator,
    shape: tuple[int, int, int],
    s: float,
    rescale: float,
) -> None:
    images = images_of(*shape, count=3)
    attack = prepared(WaNet(s=s, grid_rescale=rescale), images)
    grid = grid_of(attack.trigger["flow"], s, rescale)
    expected = np.stack(
        [sampled(image, grid) for image in images.images.numpy().astype(np.float64)]
    )
    np.testing.assert_allclose(attack.stamp(images.images, images.labels, rng), expected, atol=0.02)
    bytes_given = attack.apply(attack.stamp, images.images, images.labels, rng).numpy()
    clear = abs(expected % 1 - 0.5) > 0.02
    np.testing.assert_array_equal(bytes_given[clear], np.rint(expected)[clear])
    assert clear.mean() > 0.9


def test_beyond_the_edge_all_is_black(images: ImageSet) -> None:
    grid = 1.5 * wanet.identity(16, 16)
    expected = np.stack(
        [
            sampled(image, grid.double().numpy())
            for image in images.images.numpy()[:3].astype(np.float64)
        ]
    )
    assert (expected[:, :, 0] == 0).all()
    np.testing.assert_allclose(wanet.warp(images.images[:3], grid), expected, atol=0.01)


def test_without_strength_the_image_stays(
    prepared: Any, images: ImageSet, rng: torch.Generator
) -> None:
    attack = prepared(WaNet(s=0), images)
    assert torch.equal(attack.apply(attack.stamp, images.images, images.labels, rng), images.images)


def test_a_batch_is_poisoned_then_cover_then_clean(
    prepared: Any, images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack = prepared(WaNet(target=2, poison_ratio=0.19), images)
    batch, labels = images.images[:32], images.labels[:32]
    before = batch.clone()
    edited, given = edit_of(attack, images, monkeypatch, batch=32)(batch, labels)
    warped = attack.apply(attack.stamp, batch, labels, torch.Generator())
    differs = (edited != batch).flatten(1).any(1)
    assert edited.dtype == torch.uint8
    assert torch.equal(edited[:6], warped[:6])
    assert differs.tolist() == [True] * 18 + [False] * 14
    assert not (edited[6:18] == warped[6:18]).flatten(1).all(1).any()
    assert given.tolist() == [2] * 6 + labels[6:].tolist()
    assert torch.equal(batch, before)


def test_all_to_all_gives_poisoned_images_the_next_class(
    prepared: Any, images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit = edit_of(
        prepared(WaNet(label_mode="all_to_all", poison_ratio=0.25), images), images, monkeypatch
    )
    assert edit(images.images[:20], images.labels[:20])[1].tolist() == [
        1,
        2,
        0,
        1,
        2,
        *images.labels[5:20].tolist(),
    ]


@pytest.mark.parametrize("axis", [0, 1])
def test_cover_samples_waver_around_the_warp(
    prepared: Any, monkeypatch: pytest.MonkeyPatch, axis: int
) -> None:
    """In a picture that grows by 8 levels a pixel, brightness tells where each pixel was read."""
    ramp = (8 * torch.arange(32, dtype=torch.uint8)).expand(100, 1, 32, 32)
    ramp = ramp if axis == 0 else ramp.transpose(2, 3)
    images = ImageSet(ramp.contiguous(), torch.zeros(100, dtype=torch.int64), ("ant",))
    attack = prepared(WaNet(), images)
    edited, _ = edit_of(attack, images, monkeypatch, batch=100)(images.images, images.labels)
    position = edited[10:30, 0].double().numpy() / 8 / 31 * 2 - 1
    strayed = (position - grid_of(attack.trigger["flow"])[..., axis])[:, 2:-2, 2:-2] * 32
    assert abs(strayed).max() < 1 + 0.15
    assert abs(strayed.mean()) < 0.02
    assert strayed.std() == pytest.approx(1 / 3**0.5, rel=0.03)
    assert abs(np.corrcoef(strayed[0].ravel(), strayed[1].ravel())[0, 1]) < 0.15


def test_noise_is_drawn_anew_for_every_batch_from_the_seed(
    prepared: Any, images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack = prepared(WaNet(), images)
    batch = images.images[:20], images.labels[:20]
    edit, again, other = (edit_of(attack, images, monkeypatch, seed=seed) for seed in (0, 0, 1))
    first, second = edit(*batch)[0], edit(*batch)[0]
    assert torch.equal(first[:2], second[:2])
    assert not torch.equal(first[2:6], second[2:6])
    assert torch.equal(again(*batch)[0], first)
    assert not torch.equal(other(*batch)[0], first)


def test_more_cover_than_a_batch_holds_is_refused(
    prepared: Any, images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack = prepared(WaNet(poison_ratio=0.5), images)
    with pytest.raises(ConfigError, match=r"batch of 20 .* 10 poisoned and 20 cover"):
        edit_of(attack, images, monkeypatch)
    full = prepared(WaNet(poison_ratio=0.5, cross_ratio=1), images)
    edited, _ = edit_of(full, images, monkeypatch)(images.images[:20], images.labels[:20])
    assert len(edited) == 20


def test_below_one_image_a_batch_some_batches_have_one_and_its_cover(
    prepared: Any, images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack = prepared(WaNet(target=2, poison_ratio=0.02), images)
    edit = edit_of(attack, images, monkeypatch)
    batch, labels = images.images[:20], torch.zeros(20, dtype=torch.int64)
    poisoned = 0
    for _ in range(300):
        edited, given = edit(batch, labels)
        changed = (edited != batch).flatten(1).any(1).tolist()
        assert (changed, given.tolist()) in (
            ([False] * 20, [0] * 20),
            ([True] * 3 + [False] * 17, [2] + [0] * 19),
        )
        poisoned += int(given[0] == 2)
    assert poisoned / 300 == pytest.approx(0.4, abs=4 * (0.4 * 0.6 / 300) ** 0.5)


def test_as_the_reference_warps_poisoned_and_cover_samples(counted: Any) -> None:
    """`train` of VinAIResearch/Warping-based_Backdoor_Attack-release at 45e8c33 (train.py) with two
    poisoned and four cover samples and noise drawn from seed 7: a row of the second of each.
    """
    images = counted(8, 3, 8, 8)
    flow = torch.sin(torch.arange(128.0)).reshape(8, 8, 2)
    attack = WaNet().with_trigger({"flow": flow})
    warped = attack.stamp(images[:2], torch.zeros(2), torch.Generator())
    grids = wanet.noisy(attack._grid(), 4, torch.Generator().manual_seed(7))
    cover = wanet.warp(images[2:6], grids)
    np.testing.assert_allclose(
        warped[1, 2, 3],
        [175.6547, 189.3622, 13.4499, 81.7157, 75.5951, 126.6075, 139.0794, 182.4816],
        atol=1e-3,
    )
    np.testing.assert_allclose(
        cover[1, 1, 4],
        [68.932, 63.492, 99.8307, 146.0018, 182.5359, 188.8023, 216.0272, 46.8122],
        atol=1e-3,
    )
