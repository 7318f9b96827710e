"""Fine-Pruning: what is pruned first, where it stops, and what is handed back."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchbd.api import CleanSet, ConfigError, ImageSet, NotApplicable, Repaired, accuracy, predict
from benchbd.engine.classifier import Classifier
from benchbd.engine.hardware import default_precision
from benchbd.testing.networks import Transformer
from benchbd_zoo.defense.fine_prune import FinePrune, last_steps
from support import planted_choice
from support.by_formula import images_by_formula, wide_by_formula
from support.tiny_networks import (
    Branching,
    InPlace,
    Network,
    Plain,
    PreAct,
    Residual,
    classifier,
    random_images,
)

CLEAN = CleanSet(random_images(40, seed=1), random_images(200, seed=2))


class Sided(nn.Module):
    """Reads which side of an image is bright; channel 2 sees a white corner, which no clean image
    has.

    Mean activations on `sided_images`: channel 0 (left) 0.5 * 3, channel 1 (right) 0.5 * 2, channel
    2 (corner) 0, channel 3 (always) 0.25. What the ReLU takes away would make 1 of the first and 0
    of the second.
    """

    def __init__(self, norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, (1, 3))
        self.norm = nn.BatchNorm2d(4, eps=0) if norm else nn.Identity()
        weights = [[3.0, -1, 0], [-2, 2, 0], [0, 0, 9], [0, 0, 0]]
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor(weights)[:, None, None])
            self.conv.bias.copy_(torch.tensor([0, 0, 0, 0.25]))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.norm(self.conv(x))).mean((2, 3))


def sided(norm: bool = False) -> Classifier:
    """Class 0: bright on the left; class 1: on the right. A white corner makes anything class 1."""
    model = Classifier(Network(Sided(norm), width=4), (0.0,), (1.0,)).eval()
    model.network.head = nn.Linear(4, 2)
    with torch.no_grad():
        model.head.weight.copy_(torch.tensor([[1.0, 0, 0, 0], [0, 1, 1, 0]]))
        model.head.bias.zero_()
    return model


def sided_images(count: int, corner: int = 0) -> ImageSet:
    """One row of three pixels: left, right, corner. Even ones are bright on the left, odd ones on
    the right.
    """
    images = torch.zeros(count, 1, 1, 3, dtype=torch.uint8)
    images[::2, ..., 0] = images[1::2, ..., 1] = 255
    images[..., 2] = corner
    return ImageSet(images, torch.arange(count) % 2, ("left", "right"))


SIDED = CleanSet(sided_images(20), sided_images(20))


def repaired(model: Classifier, clean: CleanSet = CLEAN, **parameters: Any) -> Repaired:
    options = {"epochs": 0, "shift": 0} | parameters
    return FinePrune(**options).repair(model, clean, torch.Generator().manual_seed(0))


def channels(result: Repaired) -> list[int]:
    assert result.sweep is not None
    return [unit.channel for unit in result.sweep.path.units]


@pytest.mark.parametrize(
    ("norm", "layer"), [(False, "network.body.conv"), (True, "network.body.norm")]
)
def test_dormant_channels_go_first(norm: bool, layer: str) -> None:
    result = repaired(sided(norm), SIDED)
    assert result.notes["layer"] == layer
    assert result.tensors[f"activation.{layer}"].tolist() == pytest.approx([1.5, 1.0, 0.0, 0.25])
    assert channels(result) == [2, 3, 1, 0]


def test_the_backdoor_goes_and_the_task_stays() -> None:
    triggered = sided_images(20, corner=255)
    model = sided()
    assert accuracy(model, triggered.images, triggered.labels) == 0.5
    result = repaired(model, SIDED)
    assert accuracy(result.model, triggered.images, triggered.labels) == 1
    assert result.notes == {"layer": "network.body.conv", "pruned": 2, "of": 4, "tolerance": 0.1}


def test_activations_come_from_the_training_part_alone() -> None:
    one_sided = CleanSet(SIDED.train.subset(torch.arange(0, 20, 2)), SIDED.validation)
    result = repaired(sided(), one_sided)
    assert result.tensors["activation.network.body.conv"].tolist() == pytest.approx(
        [3.0, 0.0, 0.0, 0.25]
    )


@pytest.mark.parametrize("layer", ["features", None])
def test_as_the_reference_ranks(layer: str | None) -> None:
    """`FinePrune.defense` of SCLBD/BackdoorBench at f02e353 (defense/fp.py), its part that ranks
    the inputs of the last layer, run on the same network and 40 images. They are the means of the
    last convolution's channels behind its norm and ReLU, so both ways give its order.
    """
    images = images_by_formula(40)
    with default_precision("fp32"):
        result = repaired(wide_by_formula(), CleanSet(images, images), layer=layer, epochs=0)
    assert channels(result) == [0, 3, 7, 4, 8, 11, 15, 1, 14, 13, 6, 2, 10, 12, 5, 9]
    (activations,) = result.tensors.values()
    assert activations[[7, 4, 8, 9]].tolist() == pytest.approx(
        [0.0011, 0.0019, 0.0020, 2.6549], abs=1e-4
    )


@pytest.mark.slow
def test_the_path_goes_from_nothing_to_everything() -> None:
    sweep = repaired(sided(), SIDED, step=3).sweep
    assert sweep is not None
    assert (sweep.path.axis, sweep.path.values, sweep.path.cuts) == (
        "fraction pruned",
        (0, 0.75, 1),
        (0, 3, 4),
    )
    assert sweep.validation_acc == (1.0, 0.5, 0.5)
    assert sweep.chosen == 0


def test_last_steps_stop_at_the_first_fall() -> None:
    # 0.89 at step 3 is inside 0.02 again, but step 2 is not: accuracy has fallen before
    accuracies = (0.90, 0.895, 0.87, 0.89, 0.85, 0.79, 0.10)
    assert last_steps(accuracies, {0.02, 0.04, 0.1}) == {"2%": 1, "4%": 3, "10%": 4}


def test_last_steps_at_the_edges() -> None:
    assert last_steps((0.9, 0.85, 0.7), {0.05, 0.0, 0.2, 1.0}) == {
        "0%": 0,
        "5%": 1,
        "20%": 2,
        "100%": 2,
    }
    assert last_steps((0.9, 0.95, 0.9), {0.0}) == {"0%": 2}


@pytest.mark.slow
def test_kept_networks_are_inside_their_tolerance_and_one_more_step_is_not() -> None:
    model = classifier(InPlace())
    clean = _as_predicted(model)
    tolerances = (0.05, 0.2, 0.5)
    result = repaired(model, clean, tolerances=tolerances)
    assert result.sweep is not None and result.sweep.validation_acc[0] == 1
    for name, tolerance in zip(("5%", "20%", "50%"), tolerances, strict=True):
        step = result.kept[name]
        inside, outside = (result.sweep.path.at(model, s) for s in (step, step + 1))
        assert accuracy(inside, clean.validation.images, clean.validation.labels) >= 1 - tolerance
        assert accuracy(outside, clean.validation.images, clean.validation.labels) < 1 - tolerance


@pytest.mark.slow
@pytest.mark.parametrize(("tolerance", "reported"), [(None, "50%"), (0.05, "5%"), (0.3, "30%")])
def test_the_reported_network_is_that_of_one_tolerance(
    tolerance: float | None, reported: str
) -> None:
    model = classifier(InPlace(), seed=3)
    result = repaired(model, _as_predicted(model), tolerances=(0.5, 0.05), tolerance=tolerance)
    assert result.sweep is not None and result.sweep.chosen == result.kept[reported]
    expected = result.sweep.path.at(model, result.kept[reported]).state_dict()
    assert all(
        torch.equal(value, expected[name]) for name, value in result.model.state_dict().items()
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "layer", "pruned", "where"),
    [
        (Residual, None, "network.body.bn2", "output"),
        (Residual, "conv1", "network.body.bn1", "output"),
        (Residual, "bn1", "network.body.bn1", "output"),
        (Residual, "shortcut", "network.body.shortcut", "output"),
        (PreAct, None, "network.body.conv2", "output"),
        (PreAct, "body.conv1", "network.body.bn2", "output"),
        (Plain, None, "network.body.conv2", "output"),
        (Plain, "features", "network.head", "input"),
        (Branching, None, "network.body.conv2", "output"),
        (Branching, "features", "network.head", "input"),
    ],
)
def test_what_is_pruned(body: type[nn.Module], layer: str | None, pruned: str, where: str) -> None:
    result = repaired(classifier(body()), layer=layer)
    assert result.sweep is not None
    assert (result.sweep.path.layers, result.sweep.path.where) == ((pruned,), where)


@pytest.mark.slow
def test_a_transformer_is_pruned_at_its_head() -> None:
    """Its only convolution is the first layer of all, not the last."""
    model = Transformer().classifier(bordered(CLEAN.train), seed=0)  # it cuts patches of 4x4 pixels
    result = repaired(model, CleanSet(bordered(CLEAN.train), bordered(CLEAN.validation)))
    assert result.sweep is not None
    assert (result.sweep.path.layers, result.sweep.path.where) == (("network.head",), "input")


def test_features_are_averaged_as_the_head_reads_them() -> None:
    model = classifier(Plain())
    with torch.no_grad():
        expected = model.features(CLEAN.train.images / 255).mean(0)
    means = repaired(model, layer="features").tensors["activation.network.head"]
    torch.testing.assert_close(means.float(), expected, rtol=0.03, atol=0.03)


def test_an_untraceable_network_is_ranked_by_outputs_clamped_at_zero() -> None:
    model = classifier(Branching())
    with torch.no_grad():
        maps = torch.relu(
            model.network.body.conv1((CLEAN.train.images / 255 - model.mean) / model.std)
        )
    means = repaired(model, layer="conv1").tensors["activation.network.body.conv1"]
    torch.testing.assert_close(means.float(), maps.mean((0, 2, 3)), rtol=0.03, atol=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [0, 2])
def test_the_model_handed_in_stays_as_it_is(epochs: int) -> None:
    model = classifier(InPlace())
    before = copy.deepcopy(model.state_dict())
    result = repaired(model, epochs=epochs)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not result.model.training


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "layer"), [(Plain, "conv2"), (InPlace, "conv1"), (Plain, "features")]
)
def test_pruned_channels_stay_at_zero_while_the_rest_is_tuned(
    body: type[nn.Module], layer: str
) -> None:
    model = classifier(body(), seed=3)
    result = repaired(model, _as_predicted(model), layer=layer, tolerance=0.5, epochs=3)
    assert result.sweep is not None
    path, chosen = result.sweep.path, result.sweep.chosen
    (name,), off = path.layers, path.pruned(chosen)[path.layers[0]]
    on = [unit.channel for unit in path.units[path.cuts[chosen] :]]
    before, after = (
        network.get_parameter(f"{name}.weight").detach()
        for network in (path.at(model, chosen), result.model)
    )
    if path.where == "input":
        before, after = before.T, after.T
    assert off and on
    assert not after[off].any() and (after[on] != before[on]).reshape(len(on), -1).any(1).all()
    assert path.where == "input" or not result.model.get_parameter(f"{name}.bias")[off].any()


@pytest.mark.slow
def test_same_generator_same_network() -> None:
    first, second = (
        repaired(classifier(InPlace()), epochs=2, shift=1, flip=True).model.state_dict()
        for _ in range(2)
    )
    assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("layer", ["head", "relu", "body"])
def test_a_layer_without_channels_to_zero_is_refused(layer: str) -> None:
    with pytest.raises(ConfigError, match="fine_prune: expected layer to be a convolution"):
        repaired(classifier(InPlace()), layer=layer)


def test_an_unknown_layer_is_refused() -> None:
    with pytest.raises(ConfigError, match="no layer named 'conv_9'"):
        repaired(classifier(InPlace()), layer="conv_9")


def test_no_convolution_is_an_answer() -> None:
    model = Classifier(Network(nn.Flatten(), width=3), (0.0,), (1.0,))
    with pytest.raises(NotApplicable, match="no convolution"):
        repaired(model, SIDED)


def test_erratum_the_tuned_network_is_that_before_the_fall_on_the_validation_split() -> None:
    """On the clean images the channels of the right and of the left side can go, and the corner
    cannot.

    On the test set accuracy falls with the first of them: that set has no say.
    """
    outcome = FinePrune(epochs=2, batch_size=8, shift=0).respond(planted_choice.case())
    assert outcome.sweep is not None and outcome.sweep.validation_acc == (1.0, 1.0, 1.0, 0.5)
    assert outcome.sweep.path.pruned(outcome.sweep.chosen) == {planted_choice.LAYER: [1, 0]}  # type: ignore[union-attr]
    assert (outcome.model.get_parameter(f"{planted_choice.LAYER}.weight") == 0).tolist() == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("tolerances", [[], [0.02, 4], [-0.1]])
def test_tolerances_are_shares(tolerances: list[float]) -> None:
    with pytest.raises(ConfigError, match="tolerances"):
        FinePrune(tolerances=tolerances)


def _as_predicted(model: Classifier) -> CleanSet:
    """Images labelled by the model itself, so that its accuracy before pruning is 1."""
    parts = (
        ImageSet(part.images, predict(model, part.images), part.class_names)
        for part in (CLEAN.train, CLEAN.validation)
    )
    return CleanSet(*parts)


def bordered(images: ImageSet) -> ImageSet:
    """Images of 6x6 pixels with a border that makes them 8x8."""
    return ImageSet(
        torch.nn.functional.pad(images.images, (1, 1, 1, 1)), images.labels, images.class_names
    )
