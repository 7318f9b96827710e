"""STRIP: the entropy by hand, pixels clipped, a planted trigger, and scores that depend on their
input alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchbd.api import Scorer
from benchbd.engine.hardware import default_precision
from benchbd.measure.detection import separation
from benchbd_zoo.defense.strip import STRIP, entropy, superposed
from benchbd_zoo.defense.strip_filter import STRIPFilter
from support.planted_backdoor import budget, lit, quarters, stamped


@pytest.fixture(autouse=True)
def exact() -> Any:
    with default_precision("fp32"):
        yield


def scorer(model: nn.Module | None = None, **parameters: Any) -> Scorer:
    return STRIP(**parameters).fit(model or quarters(), budget(), torch.Generator().manual_seed(0))


def test_entropy_in_bits() -> None:
    found = entropy(torch.tensor([[0.0, 0, 0, 0], [100.0, 0, 0, 0], [0.0, 0, -100, -100]]))
    torch.testing.assert_close(found, torch.tensor([2.0, 0.0, 1.0]))


def test_the_score_is_the_formula() -> None:
    model, clean, images = quarters(), budget(), lit(3).images
    drawn = torch.randperm(40, generator=torch.Generator().manual_seed(0))[:5]
    overlays = clean.train.images[drawn].numpy() / 255.0
    expected = []
    for image in images.numpy() / 255.0:
        mixed = torch.from_numpy(np.clip(image + 0.7 * overlays, 0, 1)).float()
        p = model(mixed).detach().double().softmax(1).numpy()
        expected.append((p * np.log2(p)).sum(1).mean())
    found = scorer(model, n=5, strip_alpha=0.7).score(images)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4)


def test_as_the_reference_takes_the_entropy() -> None:
    """`STRIP.check` of vtu81/backdoor-toolbox at 9d4d909 (other_defenses_tool_box/strip.py), with
    each of the 40 clean images as a batch of its own; it counts in nats and adds 1e-8 to p.
    """
    images = torch.cat([lit(4).images, stamped(lit(2, seed=5).images)])
    nats = torch.tensor([0.239337, 0.233296, 0.226797, 0.296441, 0.000001, 0.000010])
    found = -scorer(n=40).score(images) * math.log(2)
    torch.testing.assert_close(found, nats, rtol=1e-4, atol=2e-6)


def test_clean_images_are_laid_over_pixels_and_clipped() -> None:
    """Errata: no Gaussian noise in place of clean images, no sum of normalised tensors."""
    seen: list[Tensor] = []
    model = quarters()
    model.mean.fill_(0.5)
    model.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    white = torch.full((1, 3, 8, 8), 250, dtype=torch.uint8)
    scorer(model, n=7, strip_alpha=1.0).score(torch.cat([white, 0 * white]))
    passed = torch.cat(seen)
    assert float(passed.max()) == 1 and float(passed.min()) >= 0
    held = {image.numpy().tobytes() for image in budget().train.images}
    over_black = (passed[7:] * 255).round().to(torch.uint8)
    assert all(image.numpy().tobytes() in held for image in over_black)


def test_every_input_meets_every_overlay() -> None:
    images, overlays = (
        torch.tensor([0.0, 0.9])[:, None, None, None],
        torch.tensor([0.1, 0.2, 0.3])[:, None, None, None],
    )
    torch.testing.assert_close(
        superposed(images, overlays).flatten(1), torch.tensor([[0.1, 0.2, 0.3], [1.0, 1.0, 1.0]])
    )


def test_a_trigger_that_survives_is_suspicious_and_absent_one_is_not() -> None:
    good, bad = lit(80).images, stamped(lit(80, seed=5).images)
    assert separation(scorer().score(good), scorer().score(bad))["auroc"] == 1
    healthy = scorer(quarters(backdoor=0.0))
    found = separation(healthy.score(good), healthy.score(bad))["auroc"]
    assert found is not None and 0.3 < found < 0.7


def test_scores_depend_on_their_input_alone() -> None:
    images, judge = lit(21).images, scorer(n=9)
    whole = judge.score(images)
    torch.testing.assert_close(torch.cat([judge.score(part) for part in images.split(4)]), whole)
    torch.testing.assert_close(judge.score(images.flip(0)).flip(0), whole)
    torch.testing.assert_close(scorer(n=9, at_once=4).score(images), whole)


@pytest.mark.parametrize(
    ("n", "at_once", "largest"), [(64, 128, 128), (64, 16, 16), (100, 1024, 1000)]
)
def test_passes_are_large_and_bounded(n: int, at_once: int, largest: int) -> None:
    sizes: list[int] = []
    model = quarters()
    model.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    scorer(model, n=n, at_once=at_once).score(lit(20).images)
    assert (max(sizes), sum(sizes)) == (largest, 20 * n)


def test_the_filter_finds_planted_samples_with_the_same_scores() -> None:
    train = lit(100, seed=7)
    bad = torch.arange(100) % 10 == 3
    images = torch.where(bad[:, None, None, None], stamped(train.images), train.images)
    train = type(train)(images, train.labels.masked_fill(bad, 0), train.class_names)
    found = STRIPFilter(fpr=0.05).score(
        train, quarters(), budget(), torch.Generator().manual_seed(0)
    )
    assert torch.equal(found.scores, scorer().score(images))
    assert (found.scores > found.threshold)[bad].all()
    assert float((found.scores > found.threshold)[~bad].double().mean()) < 0.2


def test_the_threshold_of_the_filter_lets_so_many_clean_samples_pass() -> None:
    scores = torch.arange(100.0)
    assert [STRIPFilter(fpr=fpr).threshold(scores) for fpr in (0.0, 0.05, 0.5)] == [99, 95, 50]
