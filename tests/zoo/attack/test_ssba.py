"""SSBA: the encoder and its code, structural similarity, and that what is hidden can be read."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchbd.data.images import ImageSet
from benchbd.record.remembered import remembering
from benchbd_zoo.attack.parts.generator import drawn, restored
from benchbd_zoo.attack.ssba import SSBA, Decoder, Encoder, bits_read, similarity

SMALL = {"encoder_epochs": 1, "width": 2}
SHAPES = [(1, 8, 8), (3, 14, 20), (3, 40, 33)]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_the_stamp_adds_the_residual_of_the_stored_code(
    prepared: Any, images_of: Any, shape: tuple[int, int, int]
) -> None:
    images = images_of(*shape, count=5)
    attack = prepared(SSBA(bits=7, **SMALL), images)
    encoder = restored("encoder", partial(Encoder, 7, shape, 2), attack.trigger)
    x = images.images.float() / 255
    with torch.no_grad():
        residual = encoder(x, attack.trigger["code"].float().expand(5, -1)).numpy()
    expected = 255 * (x.numpy().astype(np.float64) + residual)
    np.testing.assert_allclose(
        attack.stamp(images.images, images.labels, seeded(0)), expected, atol=0.01
    )
    stamped = attack.apply(attack.stamp, images.images, images.labels, seeded(0)).numpy()
    clear = abs(expected % 1 - 0.5) > 0.02
    np.testing.assert_array_equal(stamped[clear], np.rint(expected).clip(0, 255)[clear])


@pytest.mark.parametrize("shape", [*SHAPES, (3, 224, 224)])
def test_residuals_have_the_shape_of_the_image_and_depend_on_image_and_code(
    shape: tuple[int, int, int],
) -> None:
    encoder, decoder = (
        drawn(partial(Encoder, 5, shape, 2), seeded(0)),
        drawn(partial(Decoder, 5, shape[0], 2), seeded(1)),
    )
    images, codes = (
        torch.rand(2, *shape, generator=seeded(2)),
        torch.tensor([[0.0, 1, 0, 1, 1], [1, 1, 0, 0, 0]]),
    )
    with torch.no_grad():
        residual, other = encoder(images, codes), encoder(images, codes.flip(0))
        assert decoder(images).shape == (2, 5)
    assert residual.shape == images.shape
    assert encoder.dense.out_features == shape[0] * min(32, shape[1]) * min(32, shape[2])
    assert not torch.allclose(residual, other, atol=1e-4)
    assert not torch.allclose(residual, encoder(images.flip(0), codes), atol=1e-4)


@pytest.mark.parametrize(("size", "window"), [(5, 5), (7, 7), (9, 7)])
def test_similarity_is_the_mean_over_windows(size: int, window: int) -> None:
    first, second = np.random.default_rng(0).random((2, 2, 3, size, size))
    values = []
    for a, b in zip(first.reshape(-1, size, size), second.reshape(-1, size, size), strict=True):
        for top in range(size - window + 1):
            for left in range(size - window + 1):
                p, q = (picture[top : top + window, left : left + window] for picture in (a, b))
                covariance = ((p - p.mean()) * (q - q.mean())).mean()
                alike = (2 * p.mean() * q.mean() + 1e-4) * (2 * covariance + 9e-4)
                values.append(
                    alike / ((p.mean() ** 2 + q.mean() ** 2 + 1e-4) * (p.var() + q.var() + 9e-4))
                )
    assert similarity(torch.tensor(first), torch.tensor(second)).item() == pytest.approx(
        np.mean(values), rel=1e-9
    )
    assert similarity(torch.tensor(first), torch.tensor(first)).item() == pytest.approx(1)


def test_the_loss_weighs_what_can_be_seen_and_what_can_be_read() -> None:
    images, residual, read, codes = (
        torch.rand(4, *shape, generator=seeded(n))
        for n, shape in enumerate([(1, 8, 8)] * 2 + [(3,)] * 2)
    )
    residual, codes = 0.2 * residual - 0.1, codes.round()
    x, r, logit, bit = (
        value.numpy().astype(np.float64) for value in (images, residual, read, codes)
    )
    entropy = np.mean(np.log1p(np.exp(logit)) - bit * logit)
    unlike = 1 - similarity(torch.tensor(x), torch.tensor((x + r).clip(0, 1))).item()
    attack = SSBA(l2_weight=3, structure_weight=5, secret_weight=7)
    assert attack._loss(images, residual, read, codes, True).item() == pytest.approx(
        entropy, rel=1e-5
    )
    expected = 3 * np.square(r).mean() + 5 * unlike + 7 * entropy
    assert attack._loss(images, residual, read, codes, False).item() == pytest.approx(
        expected, rel=1e-4
    )


def test_bits_are_counted_from_rounded_images() -> None:
    """The encoder adds a level where the bit is 1 and 0.4 of one where it is 0; the decoder asks
    for more than half a level.
    """

    class Writes(torch.nn.Module):
        def forward(self, images: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
            return (0.4 + 0.6 * codes)[:, :, None, None] / 255

    class Reads(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images[:, :, 0, 0] - 0.3 / 255

    images, codes = torch.zeros(4, 1, 2, 2), torch.tensor([[0.0], [1], [1], [0]])
    assert bits_read(Writes(), Reads(), images, codes).item() == 1  # type: ignore[arg-type]
    assert bits_read(Writes(), Reads(), images + 1, codes).item() == 0.5  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_code_is_learned_that_can_be_read(prepared: Any) -> None:
    shades = (
        torch.randint(60, 200, (60, 1, 1, 1), generator=seeded(0))
        .expand(-1, 1, 8, 8)
        .to(torch.uint8)
    )
    train = ImageSet(shades.contiguous(), torch.arange(60) % 3, ("ant", "bee", "cat"))
    attack = prepared(
        SSBA(bits=2, width=4, encoder_lr=3e-3, encoder_epochs=120, encoder_batch=60), train
    )
    assert attack.trigger["bits_read"] > 0.95


def test_code_and_encoder_are_drawn_from_the_seed(prepared: Any, images: ImageSet) -> None:
    first, again, other = (prepared(SSBA(**SMALL), images, seed).trigger for seed in (0, 0, 1))
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["code"], other["code"])
    assert not torch.equal(first["encoder.last.weight"], other["encoder.last.weight"])
    assert first["code"].shape == (20,)


def test_the_encoder_is_kept_by_what_it_was_learned_from(
    prepared: Any, images: ImageSet, tmp_path: Path
) -> None:
    with remembering(tmp_path):
        first = prepared(SSBA(**SMALL), images).trigger
        again = prepared(SSBA(target=2, poison_ratio=0.3, **SMALL), images).trigger
        assert len(list(tmp_path.glob("steganography-*"))) == 1
        prepared(SSBA(bits=3, **SMALL), images)
        assert len(list(tmp_path.glob("steganography-*"))) == 2
    assert torch.equal(first["encoder.last.weight"], again["encoder.last.weight"])


def test_poisoned_samples_are_labelled_by_the_map(
    prepared: Any, images: ImageSet, rng: torch.Generator
) -> None:
    poisoned = prepared(SSBA(label_mode="all_to_all", **SMALL), images).poison(images, rng)
    assert len(poisoned.indices) == 6
    np.testing.assert_array_equal(
        poisoned.labels, np.array([1, 2, 0])[poisoned.indices.numpy() % 3]
    )


@pytest.mark.parametrize(("secret_alone", "reference"), [(False, 2.0137711), (True, 1.2492963)])
def test_as_the_reference_weighs_residual_and_code(
    counted: Any, secret_alone: bool, reference: float
) -> None:
    """The loss of `train_encoder_decoder` of THUYimingLi/BackdoorBox at af3afd1
    (core/attacks/ISSBA.py) without LPIPS and critic, after and during the epochs of the code alone,
    with an encoder and a decoder that are formulas.
    """
    images = counted(4, 3, 8, 8) / 255
    codes = (torch.arange(80) % 3 == 0).float().reshape(4, 20)
    residual = 0.3 * (torch.sin(9 * images) + codes.mean(1)[:, None, None, None])
    read = 3 * torch.sin(7 * (images + residual).clamp(0, 1).flatten(1)[:, :20])
    loss = SSBA(structure_weight=0)._loss(images, residual, read, codes, secret_alone)
    assert loss.item() == pytest.approx(reference, rel=1e-5)
