"""Figures of a change that is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchbd.api import BACKDOORED, Histogram
from benchbd.testing.trial import hand_over
from benchbd_zoo.analysis.quality import Quality


def test_a_patch_by_hand() -> None:
    """36 of 1,024 pixels become white; the rest stays, so the pairs are of the same scenes."""
    handed = hand_over()
    scene = handed.scene
    found = Quality(images=20).look(scene, handed.rng)
    numbers, pairs = found.numbers[BACKDOORED], scene.pairs(20)
    error = pairs.triggered.double() - pairs.clean.double()
    assert numbers["changed"] == pytest.approx(36 / 1024)
    assert numbers["linf"] == float(error.abs().max())
    squares = (error / 255).square().sum((1, 2, 3))
    assert numbers["l2"] == pytest.approx(float(squares.sqrt().mean()))
    assert numbers["psnr"] == pytest.approx(float(-10 * (squares.mean() / 3072).log10()), abs=1e-3)
    assert list(found.numbers) == [BACKDOORED]
    picture = found.pictures["changes"]
    assert isinstance(picture, Histogram)
    share = float((picture.panels["trigger"]["change"] > 0).double().mean())
    assert share == pytest.approx(36 / 1024, abs=0.005)


def test_an_unchanged_image_has_no_psnr() -> None:
    handed = hand_over()
    same = replace(handed.triggered, images=handed.test.images[handed.triggered.indices])
    numbers = Quality(images=4).look(replace(handed.scene, triggered=same), handed.rng).numbers
    assert "psnr" not in numbers[BACKDOORED]
    assert numbers[BACKDOORED]["ssim"] == pytest.approx(1)
    assert numbers[BACKDOORED]["l2"] == 0
