"""EP: the entropy by hand and against NumPy, a planted channel with two peaks."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchbd.api import ImageSet, NotApplicable, Repaired
from benchbd.engine.classifier import Classifier
from benchbd.record.attack_result import AttackResult
from benchbd_zoo.defense.ep import EP, entropy
from support.by_formula import images_by_formula, wide_by_formula
from support.tiny_networks import Network, Plain, Wide, classifier, random_images


def test_the_entropy_of_two_equal_peaks_is_log_2() -> None:
    assert entropy(torch.tensor([[0.0, 1, 0, 1, 1, 0]]), 0.01).item() == pytest.approx(math.log(2))


def test_the_entropy_of_values_all_apart_is_log_n() -> None:
    assert entropy(torch.arange(50.0)[None], 0.01).item() == pytest.approx(math.log(50))


@pytest.mark.parametrize("step_size", [0.01, 0.3])
def test_the_entropy_equals_that_of_a_histogram(step_size: float) -> None:
    values = np.random.default_rng(0).normal(size=(3, 400)) * [[1], [5], [0.1]] + 7
    standard = (values - values.mean(1, keepdims=True)) / values.std(1, ddof=1, keepdims=True)
    edges = standard.min() + step_size * np.arange(math.ceil(np.ptp(standard) / step_size) + 2)
    shares = [np.histogram(row, edges)[0] / 400 for row in standard]
    expected = [-sum(p * math.log(p) for p in row if p) for row in shares]
    np.testing.assert_allclose(entropy(torch.tensor(values), step_size), expected, atol=0.01)


def test_as_the_reference_measures_and_prunes() -> None:
    """`EP` of RJ-T/NIPS2022_EP_BNP at af5150d (defense.py), run on the same network and one batch
    of the same 40 images. Channels 11 and 10 have the smallest and the largest value of all; there
    it loses one image of 40, on the border of the first bin and in the last.
    """
    entropies = [
        *(3.143, 2.708, 2.460, 2.963, 2.738, 2.818, 2.853, 3.000),
        *(2.696, 3.013, 2.670, 2.487, 2.708, 2.952, 3.004, 2.621),
    ]
    for channel in (10, 11):
        entropies[channel] += math.log(40) / 40
    result = repaired(wide_by_formula(), images_by_formula(40))
    assert result.tensors["entropy.network.body.norm"].tolist() == pytest.approx(
        entropies, abs=1e-3
    )
    assert result.sweep is not None
    path = result.sweep.path
    pruned = path.pruned(path.values.index(0))
    assert sorted(pruned["network.body.norm"]) == [1, 2, 4, 8, 10, 11, 12, 15]


def test_a_channel_that_does_not_vary_has_none() -> None:
    found = entropy(torch.tensor([[2.0, 2, 2], [0, 1, 2]]), 0.01)
    assert found[0].isnan() and found[1].item() == pytest.approx(math.log(3))
    assert entropy(torch.full((2, 3), 4.0), 0.01).isnan().all()


def planted() -> Classifier:
    """Channel 7 sees one corner, which is white in poisoned images and black in all others."""
    torch.manual_seed(0)
    model = Classifier(Network(Wide(), width=16), (0.0,) * 3, (1.0,) * 3).eval()
    with torch.no_grad():
        model.network.body.conv.weight[7] = 0
        model.network.body.conv.weight[7, :, 2, 2] = 1
        model.network.body.norm.bias.fill_(0.3)
    return model


def mixed(poisoned: int) -> ImageSet:
    """Images of noise whose lower right part is black, white in the last pixel for the first
    `poisoned` of them.
    """
    images = random_images(200, seed=1).images.clone()
    images[..., 2:, 2:] = 0
    images[:poisoned, :, 5, 5] = 255
    return ImageSet(images, torch.arange(200) % 4, ("ant", "bee", "cat", "dog"))


def repaired(model: nn.Module, train: ImageSet, **parameters: float) -> Repaired:
    return EP(**parameters).repair(model, train, torch.Generator().manual_seed(0))


def test_a_planted_channel_is_pruned_by_its_scale_alone() -> None:
    model = planted()
    result = repaired(model, mixed(30))
    assert result.sweep is not None and result.sweep.validation_acc is None
    assert result.sweep.path.pruned(result.sweep.chosen) == {"network.body.norm": [7]}
    changed = [
        name
        for name, value in result.model.named_parameters()
        if not torch.equal(value, model.get_parameter(name))
    ]
    assert changed == ["network.body.norm.weight"]
    # of 200 images 30 are white there
    expected = -sum(p * math.log(p) for p in (0.15, 0.85))
    assert result.tensors["entropy.network.body.norm"][7].item() == pytest.approx(expected)


def test_without_poison_the_channel_never_varies_and_stays() -> None:
    result = repaired(planted(), mixed(0))
    assert result.tensors["entropy.network.body.norm"].isnan().tolist() == [
        channel == 7 for channel in range(16)
    ]
    assert result.sweep is not None and result.sweep.path.pruned(result.sweep.chosen) == {}


def test_samples_are_drawn_by_the_generator() -> None:
    results = [
        EP(samples=50).repair(planted(), mixed(30), torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    ]
    first, again, other = (result.tensors["entropy.network.body.norm"] for result in results)
    assert results[0].notes["images"] == 50
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.slow
def test_its_curve_has_no_validation_accuracy(stored: AttackResult, tmp_path: Path) -> None:
    result = EP(u_num=3).defense(stored.path, device="cpu", save_path=tmp_path)
    (curve,) = result.cell.curves
    assert [point.value for point in curve.points] == [10, 5, 3, 0]
    assert all(point.validation_acc is None for point in curve.points)
    assert (curve.chosen, result.cell.cost.clean_samples) == (2, 0)
    assert (tmp_path / "curve.csv").read_text().splitlines()[1].endswith(",")


def test_no_batchnorm_is_an_answer() -> None:
    with pytest.raises(NotApplicable, match="no normalisation layer"):
        repaired(classifier(Plain()), mixed(30))
