"""BNP: the divergence of two Gaussians, statistics by hand, a planted mismatch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from benchbd.api import CleanSet, NotApplicable, accuracy, predict
from benchbd.engine.classifier import Classifier
from benchbd_zoo.defense.bnp import BNP, divergence
from support.by_formula import images_by_formula, wide_by_formula
from support.tiny_networks import Network, Plain, Tokens, Wide, classifier, random_images

CLEAN = CleanSet(random_images(40, seed=1), random_images(20, seed=2))


def gaussian(x: np.ndarray, mean: float, deviation: float) -> np.ndarray:
    return np.exp(-(((x - mean) / deviation) ** 2) / 2) / (deviation * np.sqrt(2 * np.pi))


@pytest.mark.parametrize(
    ("mean", "deviation", "running_mean", "running_deviation"),
    [(0, 1, 0, 1), (1, 2, -1, 3), (0.5, 0.7, 2, 1)],
)
def test_the_divergence_is_the_integral(
    mean: float, deviation: float, running_mean: float, running_deviation: float
) -> None:
    norm = nn.BatchNorm2d(1, eps=0.0)
    norm.running_mean.fill_(running_mean)  # type: ignore[union-attr]
    norm.running_var.fill_(running_deviation**2)  # type: ignore[union-attr]
    found = divergence(norm, torch.tensor([mean]).double(), torch.tensor([deviation**2]).double())
    x, width = np.linspace(-40, 40, 200_001, retstep=True)
    p, q = gaussian(x, mean, deviation), gaussian(x, running_mean, running_deviation)
    shared = p > 1e-300
    assert found.item() == pytest.approx(
        float((p[shared] * np.log(p[shared] / q[shared])).sum() * width), abs=1e-6
    )


def test_as_the_reference_prunes() -> None:
    """`BNP` of RJ-T/NIPS2022_EP_BNP at af5150d (defense.py), run on the same network and one batch
    of the same 40 images: its divergences and the channels that it zeroes by u. It divides by one
    value less in the variance of the batch, and adds no eps.
    """
    divergences = [
        *(6.724, 0.023, 0.148, 1.805, 1.162, 0.341, 0.119, 1.499),
        *(1.378, 2.262, 0.252, 0.111, 0.013, 0.435, 0.404, 0.765),
    ]
    zeroed = {0: [0, 3, 4, 7, 8, 9], 0.5: [0, 9], 1: [0], 3: [0]}
    images = images_by_formula(40)
    result = BNP().repair(wide_by_formula(), CleanSet(images, images), torch.Generator())
    assert result.tensors["divergence.network.body.norm"].tolist() == pytest.approx(
        divergences, abs=2e-3
    )
    assert result.sweep is not None
    path = result.sweep.path
    for u, channels in zeroed.items():
        pruned = path.pruned(path.values.index(u))
        assert sorted(pruned["network.body.norm"]) == channels


def matched() -> Classifier:
    """A network whose running statistics are those of the clean training images."""
    torch.manual_seed(0)
    model = Classifier(Network(Wide(), width=16), (0.0,) * 3, (1.0,) * 3).eval()
    norm = model.network.body.norm
    with torch.no_grad():
        maps = model.network.body.conv(CLEAN.train.images / 255).movedim(1, 0).flatten(1)
    norm.running_mean.copy_(maps.mean(1))
    norm.running_var.copy_(maps.var(1))
    return model


def test_clean_statistics_are_those_of_all_places_of_all_images() -> None:
    result = BNP().repair(matched(), CLEAN, torch.Generator())
    assert result.tensors["divergence.network.body.norm"].abs().max() < 1e-6


@pytest.mark.parametrize(("statistic", "shift"), [("running_mean", 5.0), ("running_var", 9.0)])
def test_a_planted_mismatch_is_pruned_by_its_scale_alone(statistic: str, shift: float) -> None:
    model = matched()
    model.network.body.norm.bias.data.fill_(0.3)
    model.network.body.norm.get_buffer(statistic)[5] += shift
    result = BNP().repair(model, CLEAN, torch.Generator())
    assert result.sweep is not None
    assert result.sweep.path.pruned(result.sweep.chosen) == {"network.body.norm": [5]}
    changed = [
        name
        for name, value in result.model.named_parameters()
        if not torch.equal(value, model.get_parameter(name))
    ]
    assert changed == ["network.body.norm.weight"]
    assert result.notes == {"pruned": 1, "of": 16, "u": 3.0}


def test_the_validation_split_shows_accuracy_alone() -> None:
    model = matched()
    results = [
        BNP().repair(model, CleanSet(CLEAN.train, random_images(9, seed=seed)), torch.Generator())
        for seed in (3, 4)
    ]
    assert torch.equal(*(result.tensors["divergence.network.body.norm"] for result in results))
    sweep = results[0].sweep
    assert sweep is not None and sweep.validation_acc is not None
    other = random_images(9, seed=3)
    for step in (0, len(sweep.path) - 1):
        assert sweep.validation_acc[step] == accuracy(
            sweep.path.at(model, step), other.images, other.labels
        )


def test_the_model_handed_in_stays_as_it_is() -> None:
    model = matched()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    predict(BNP().repair(model, CLEAN, torch.Generator()).model, CLEAN.train.images)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not model.network.body.norm._forward_pre_hooks


@pytest.mark.parametrize("body", [Plain, Tokens])
def test_no_batchnorm_is_an_answer(body: type[nn.Module]) -> None:
    with pytest.raises(NotApplicable, match=r"no (BatchNorm|normalisation layer)"):
        BNP().repair(classifier(body()), CLEAN, torch.Generator())
