"""The network of airbench: its layers as the paper has them, and what it begins with."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from benchbd.api import ImageSet, NotApplicable, to_float
from benchbd_zoo.model.airbench import Airbench

NAMES = ("a", "b")


def smooth_images(count: int = 40) -> ImageSet:
    """Neighbouring pixels are alike, and colours, too, so that there is something to whiten."""
    rng = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 1, 4, 4, generator=rng) * 160
    pixels = (
        F.interpolate(coarse, size=(16, 16), mode="bilinear")
        + torch.rand(count, 3, 16, 16, generator=rng) * 60
    )
    return ImageSet(pixels.to(torch.uint8), torch.arange(count) % 2, NAMES)


def test_number_of_weights_of_the_original() -> None:
    """Widths 64, 256, 256 behind 24 filters of 2x2; here the head has a bias, too."""
    convolutions = [(24, 64), (64, 64), (64, 256), (256, 256), (256, 256), (256, 256)]
    expected = 24 * 3 * 4 + 24 + sum(9 * a * b + 2 * b for a, b in convolutions) + 256 * 10 + 10
    network = Airbench().build(10, (3, 32, 32))
    assert sum(p.numel() for p in network.parameters()) == expected
    assert 1.95e6 < expected < 1.99e6


def test_the_first_layer_whitens_the_patches_of_the_training_images() -> None:
    train = smooth_images()
    model = Airbench(width=4).classifier(train, seed=0)
    whiten: Any = model.network.whiten
    images = (to_float(train.images) - model.mean) / model.std
    with torch.no_grad():
        outputs = whiten(images).movedim(1, 0).flatten(1).double()
    assert len(outputs) == 24
    torch.testing.assert_close(outputs[12:], -outputs[:12])
    variances = (outputs[:12] @ outputs[:12].T / outputs.shape[1]).diagonal()
    correlated = outputs[:12] @ outputs[:12].T / outputs.shape[1] - variances.diag()
    assert float(correlated.abs().max()) < 1e-3
    assert 0.9 < float(variances.min()) <= float(variances.max()) < 1.001
    before = F.unfold(images, 2).transpose(0, 1).flatten(1)
    assert float(torch.corrcoef(before).fill_diagonal_(0).max()) > 0.5


def test_two_trainings_of_one_set_begin_alike_and_what_is_restored_is_what_was_stored() -> None:
    train = smooth_images()
    model, again = (Airbench(width=4).classifier(train, seed=3) for _ in range(2))
    images = to_float(train.images)
    with torch.no_grad():
        assert torch.equal(model(images), again(images))
        outline = train.statistics()
        other = Airbench(width=4).restore(2, train.image_shape, *outline, seed=3)
        assert not torch.equal(model(images), other(images))
        other.load_state_dict(model.state_dict())
        assert torch.equal(model(images), other(images))


def test_convolutions_begin_by_passing_on_what_comes_in() -> None:
    network: Any = Airbench(width=6).build(2, (1, 16, 16))
    convolution = network.groups[2][0]
    maps = torch.rand(2, 6, 5, 5)
    with torch.no_grad():
        outputs = convolution(maps)
    torch.testing.assert_close(outputs[:, :6], maps)
    assert not torch.allclose(outputs[:, 6:12], maps, atol=0.1)


def test_images_too_small_for_its_pools() -> None:
    assert Airbench(width=1).build(2, (1, 9, 9))
    with pytest.raises(NotApplicable, match="at least 9 pixels"):
        Airbench().build(3, (1, 8, 9))
