"""The path through the weights: its ends, a flat one, and a toy loss that is a parabola."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from benchbd.api import BACKDOORED, Classifier, NotApplicable, predict
from benchbd.testing.trial import hand_over
from benchbd_zoo.analysis import path
from benchbd_zoo.analysis.path import PLACES, Path, between, distance, mixed, with_own_norms
from support.tiny_networks import Network


def test_the_ends_are_the_models_themselves() -> None:
    handed = hand_over()
    scene, seen = handed.scene, handed.scene.pairs(30)
    rows = Path(images=30).look(scene, handed.rng).tables["steps"]
    for row in rows:
        if row["a"] in (0, 1):
            model = scene.models[("backdoored", "defended")[int(row["a"])]]
            given = predict(model, seen.triggered)
            expected = float((given == seen.attacked_labels).double().mean())
            assert float(row["asr"]) == pytest.approx(expected)


def test_a_defense_that_does_nothing_gives_a_flat_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Norms that are measured anew would differ from those of training, so they stay here."""
    monkeypatch.setattr(path, "with_own_norms", lambda model, images: model)
    handed = hand_over()
    models = {BACKDOORED: handed.model, "nothing": copy.deepcopy(handed.model)}
    found = Path(images=20).look(replace(handed.scene, models=models), handed.rng)
    assert found.numbers["nothing"]["barrier"] == pytest.approx(0, abs=1e-6)
    assert found.numbers["nothing"]["distance"] == 0
    losses = found.pictures["loss"].curves["nothing"]  # type: ignore[union-attr]
    torch.testing.assert_close(losses, losses[:1].expand(len(PLACES)))


class Scaled(nn.Module):
    """Features are one weight, whatever the image."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([weight]))
        self.head = nn.Linear(1, 4, bias=False)

    def features(self, x: Tensor) -> Tensor:
        return self.weight.expand(len(x), 1)


def scaled(weight: float) -> Classifier:
    model = Classifier(Scaled(weight), (0.0,) * 3, (1.0,) * 3).eval()
    model.head.weight.data = torch.ones(4, 1)
    return model


def test_weights_in_between_lie_on_the_line() -> None:
    """From 1 to -3: the weight is 1 - 4 a, and its square is a parabola with its lowest point at
    1/4.
    """
    images = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    line = between(scaled(1.0), scaled(-3.0), images)
    squares = [float(model.network.weight.detach()) ** 2 for model in line]  # type: ignore[operator,union-attr]
    assert squares == [pytest.approx((1 - 4 * a) ** 2, abs=1e-5) for a in PLACES]
    # five weights of 1, of which one moves by 4
    assert distance(scaled(1.0), scaled(-3.0)) == pytest.approx(4 / 5**0.5)


def test_norms_are_those_of_the_images() -> None:
    """The mean of three grey images, by hand."""
    norm = nn.BatchNorm2d(3)
    body = nn.Sequential(norm, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = Classifier(Network(body, 3), (0.0,) * 3, (1.0,) * 3).eval()
    images = torch.tensor([0, 51, 255], dtype=torch.uint8)[:, None, None, None].expand(3, 3, 2, 2)
    path.with_own_norms(model, images)
    torch.testing.assert_close(norm.running_mean, torch.full((3,), (0 + 0.2 + 1) / 3))
    assert norm.momentum == 0.1 and not norm.training
    start = mixed(model, model, 0.5)
    assert with_own_norms(start, images) is start


def test_a_hill_on_the_path_is_a_barrier() -> None:
    steps = [{"loss": 1.0, "asr": 1.0} for _ in PLACES]
    steps[PLACES.index(0.5)] = {"loss": 3.0, "asr": 0.1}
    for place in (0.8, 0.9, 1.0):
        steps[PLACES.index(place)] = {"loss": 1.5, "asr": 0.1}
    assert path._numbers(steps) == {"barrier": pytest.approx(1.5), "gone_at": 0.8}


def test_another_architecture_is_refused() -> None:
    handed = hand_over()
    other = hand_over("vgg_bn").model
    scene = replace(handed.scene, models={BACKDOORED: handed.model, "other": other})
    with pytest.raises(NotApplicable, match="same architecture"):
        Path().look(scene, handed.rng)
