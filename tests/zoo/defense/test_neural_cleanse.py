"""Neural Cleanse: a planted shortcut is found, named and unlearned; without one nothing is."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchbd.api import CleanSet, ImageSet, NotApplicable, Verdict
from benchbd.engine.classifier import Classifier
from benchbd_zoo.defense.neural_cleanse import NeuralCleanse, anomaly_index, stamping
from support.tiny_networks import Network, random_images

NAMES = ("first", "second", "third", "fourth", "fifth")
CLASSES = len(NAMES)


class Bands(nn.Module):
    """Features: how bright each of five bands of two rows is, and how far the pixel at (10, 7) is
    above any clean one.
    """

    def forward(self, x: Tensor) -> Tensor:
        bands = x[:, 0, :10].reshape(-1, CLASSES, 16).mean(2)
        return torch.cat([bands, torch.relu(x[:, 0, 10, 7:] - 0.2)], 1)


def banded(shortcut: float) -> Classifier:
    """Knows the brightest band; a white pixel in a corner speaks for class 2, as loudly as
    `shortcut`.
    """
    model = Classifier(Network(Bands(), width=6), (0.0,), (1.0,)).eval()
    model.network.head = nn.Linear(6, CLASSES)
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.zero_()
        model.head.weight[:, :5] = 20 * torch.diag(torch.tensor([0.8, 0.9, 1.0, 1.1, 1.2]))
        model.head.weight[2, 5] = shortcut
    return model


def bright(count: int, seed: int) -> ImageSet:
    images = torch.randint(
        0, 40, (count, 1, 11, 8), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )
    labels = torch.arange(count) % CLASSES
    for label in range(CLASSES):
        images[labels == label, :, 2 * label : 2 * label + 2] += 150
    return ImageSet(images, labels, NAMES)


CLEAN = CleanSet(bright(40, seed=1), bright(10, seed=2))


@cache
def verdict(shortcut: float) -> Verdict:
    cleanse = NeuralCleanse(
        steps=70, nb_sample=96, batch_size=32, epochs=30, lr=1.0, shift=0, init_cost=0.02
    )
    return cleanse.inspect(banded(shortcut), CLEAN, torch.Generator().manual_seed(0))


@pytest.mark.slow
def test_a_planted_shortcut_is_found_where_it_is() -> None:
    found = verdict(40.0)
    assert found.flagged.tolist() == [False, False, True, False, False]
    trigger = found.triggers[2]
    assert trigger.shape == (1, 11, 8) and float(trigger.min()) >= 0 and float(trigger.max()) <= 1
    assert int(trigger.flatten().argmax()) == 87 and float(trigger[0, 10, 7]) > 0.9 * float(
        trigger.sum()
    )
    assert found.notes["outcome"] == "unlearned" and found.notes["found"] == [True] * 5
    assert (
        found.notes["mask_norms"][2]
        < 3
        < min(norm for label, norm in enumerate(found.notes["mask_norms"]) if label != 2)
    )


@pytest.mark.slow
def test_the_reversed_trigger_is_unlearned() -> None:
    repaired, clean = verdict(40.0).repaired, CLEAN.validation
    assert repaired is not None and not repaired.training
    triggered = clean.images / 255
    triggered[:, 0, 10, 7] = verdict(40.0).triggers[2][0, 10, 7] + 0.05
    before, after = (model(triggered).argmax(1) for model in (banded(40.0), repaired))
    assert (before == 2).all() and torch.equal(after, clean.labels)


@pytest.mark.slow
def test_without_a_shortcut_nothing_is_flagged_and_the_notes_say_so() -> None:
    found = verdict(0.0)
    assert not found.flagged.any() and found.repaired is None
    assert found.notes["outcome"] == "nothing flagged, so nothing repaired"


@pytest.mark.slow
def test_inspection_leaves_the_model_alone() -> None:
    model = banded(40.0).train()
    before = copy.deepcopy(model.state_dict())
    NeuralCleanse(steps=2, nb_sample=32, epochs=1, anomaly_threshold=1e-9).inspect(
        model, CLEAN, torch.Generator()
    )
    assert model.training and all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_index_is_the_paper_s_with_a_sign() -> None:
    norms = np.array([30.0, 41, 35, 4, 33, 38, 29, 44, 36, 31])
    middle = np.median(norms)
    by_hand = np.abs(norms - middle) / (1.4826 * np.median(np.abs(norms - middle)))
    index = anomaly_index(torch.from_numpy(norms))
    np.testing.assert_allclose(index.abs(), by_hand)
    assert (index > 2).nonzero().tolist() == [[3]] and index[7] < 0


def test_equal_norms_are_no_anomaly() -> None:
    assert anomaly_index(torch.full((4,), 36.0).double()).tolist() == [0] * 4


def test_a_share_of_the_batch_is_stamped_and_keeps_its_labels() -> None:
    """One of two triggers each: a corner, or the other corner."""
    masks, patterns = torch.zeros(2, 6, 6), torch.ones(2, 3, 6, 6)
    masks[0, 0, 0] = masks[1, 5, 5] = 1
    batch = random_images(40)
    images, labels = stamping(masks, patterns, 0.2, torch.Generator().manual_seed(0))(
        batch.images, batch.labels
    )
    changed = [
        tuple((image != was).nonzero()[:, 1:].unique().tolist())
        for image, was in zip(images, batch.images, strict=True)
    ]
    assert torch.equal(labels, batch.labels) and images.dtype == torch.uint8
    assert set(changed[:8]) == {(0,), (5,)} and set(changed[8:]) == {()}
    assert (images[:8, :, 0, 0].eq(255) | images[:8, :, 5, 5].eq(255)).all()


def test_two_classes_have_no_outlier() -> None:
    two = ImageSet(CLEAN.train.images, CLEAN.train.labels % 2, ("a", "b"))
    with pytest.raises(
        NotApplicable, match="among 2 classes cannot be told; neural_cleanse needs 3"
    ):
        NeuralCleanse().inspect(banded(0.0), CleanSet(two, two), torch.Generator())


@pytest.mark.slow
def test_same_generator_same_verdict() -> None:
    def run() -> Any:
        return (
            NeuralCleanse(steps=2, nb_sample=32)
            .inspect(banded(40.0), CLEAN, torch.Generator().manual_seed(1))
            .triggers[0]
        )

    assert torch.equal(run(), run())


def test_as_the_reference_the_index_below_the_median() -> None:
    """`normalize_mad` of vtu81/backdoor-toolbox at 9d4d909 (other_defenses_tool_box/tools.py)."""
    norms = torch.tensor([30.0, 41, 35, 4, 33, 38, 29, 44, 36]).double()
    index = anomaly_index(norms)
    assert index[[0, 3, 4, 6]].tolist() == pytest.approx(
        [0.6744907, 4.1818428, 0.2697963, 0.8093889]
    )
