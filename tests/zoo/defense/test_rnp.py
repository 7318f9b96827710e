"""RNP: both phases against the formula, and that the original network is what is pruned."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchbd.api import CleanSet, Diverged, ImageSet, NotApplicable, Repaired, predict
from benchbd.engine.classifier import Classifier
from benchbd.engine.hardware import default_precision
from benchbd_zoo.defense.parts.passes import Passes
from benchbd_zoo.defense.rnp import RNP
from support import planted_choice
from support.by_formula import images_by_formula, in_batches, wide_by_formula
from support.tiny_networks import InPlace, Network, Plain, Tokens, classifier, random_images

CLEAN = CleanSet(random_images(40, seed=1), random_images(60, seed=2))


def repaired(model: nn.Module, clean: CleanSet = CLEAN, **parameters: Any) -> Repaired:
    options = {
        "unlearning_epochs": 3,
        "recovering_epochs": 3,
        "batch_size": 16,
        "shift": 0,
    } | parameters
    return RNP(**options).repair(model, clean, torch.Generator().manual_seed(0))


def passes(images: ImageSet, size: int = 64) -> Passes:
    return Passes(images, size, torch.Generator().manual_seed(0))


def test_unlearning_is_ascent() -> None:
    """One step over the pixels alone: the weights move up the gradient (softmax - label) x, and
    weight decay pulls back.
    """
    model = Classifier(Network(nn.Flatten(), width=108), (0.0,) * 3, (1.0,) * 3)
    weight = model.head.weight.detach().numpy().astype(float).copy()
    rnp = RNP(unlearning_lr=0.5, unlearning_epochs=1, weight_decay=0.1)
    network, _ = rnp._unlearn(model, passes(CLEAN.train))
    pixels = CLEAN.train.images.numpy().reshape(-1, 108) / 255
    scores = np.exp(pixels @ weight.T + model.head.bias.detach().numpy())
    errors = scores / scores.sum(1, keepdims=True) - np.eye(4)[CLEAN.train.labels.numpy()]
    expected = weight + 0.5 * (errors.T @ pixels / 40 - 0.1 * weight)
    np.testing.assert_allclose(
        network.get_parameter("network.head.weight").detach(), expected, atol=2e-3
    )
    assert np.abs(expected - weight).max() > 0.02


def own_labels(model: nn.Module) -> ImageSet:
    images = CLEAN.train.images
    return ImageSet(images, predict(model, images), CLEAN.train.class_names)


def test_unlearning_ends_when_accuracy_is_low_enough() -> None:
    model = Classifier(Network(nn.Flatten(), width=108), (0.0,) * 3, (1.0,) * 3).eval()
    long = RNP(unlearning_lr=0.1, unlearning_epochs=50, clean_threshold=0.3)
    _, accuracies = long._unlearn(model, passes(own_labels(model)))
    assert accuracies[0] == 1 and len(accuracies) < 50
    assert accuracies[-1] <= 0.3 < min(accuracies[:-1])


def test_that_unlearning_got_nowhere_is_noted() -> None:
    model = classifier(InPlace())
    clean = CleanSet(own_labels(model), CLEAN.validation)
    assert repaired(model, clean, unlearning_lr=1e-6).notes["unlearned"] is False
    assert repaired(model, clean, clean_threshold=1.0).notes["unlearned"] is True


def test_the_learning_rate_of_unlearning_falls() -> None:
    def moved(schedule: tuple[int, ...]) -> float:
        torch.manual_seed(0)
        model = Classifier(Network(nn.Flatten(), width=108), (0.0,) * 3, (1.0,) * 3)
        rnp = RNP(
            unlearning_epochs=2, schedule=schedule, momentum=0, weight_decay=0, clean_threshold=0
        )
        before = model.head.weight.detach().clone()
        network, _ = rnp._unlearn(model, passes(CLEAN.train))
        return float((network.get_parameter("network.head.weight").detach() - before).norm())

    # two steps up nearly the same slope, 1 + 0.1 against 1 + 1
    assert moved((1,)) / moved((5,)) == pytest.approx(0.55, abs=0.02)


class FlatNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.flatten(1))  # type: ignore[no-any-return]


def test_masks_descend_alpha_times_the_loss() -> None:
    """Three updates with momentum against NumPy; the masks stay inside (0, 1) or are
    clipped to it.
    """
    torch.manual_seed(3)
    network = Network(FlatNorm(), width=3)
    nn.init.normal_(network.head.weight, std=2)
    model = Classifier(network, (0.0,), (1.0,))
    images = ImageSet(
        torch.randint(0, 256, (24, 1, 1, 3), dtype=torch.uint8),
        torch.arange(24) % 4,
        CLEAN.train.class_names,
    )
    masks = RNP(alpha=0.5, recovering_lr=0.3, recovering_epochs=3)._recover(model, passes(images))[
        planted_choice.LAYER
    ]

    pixels = images.images.numpy().reshape(-1, 3) / 255
    z = (pixels - pixels.mean(0)) / np.sqrt(pixels.var(0) + 1e-5)
    head, offset = (
        value.detach().double().numpy() for value in (model.head.weight, model.head.bias)
    )
    m, speed = np.ones(3), np.zeros(3)
    for _ in range(3):
        scores = np.exp(z * m @ head.T + offset)
        errors = scores / scores.sum(1, keepdims=True) - np.eye(4)[images.labels.numpy()]
        speed = 0.9 * speed + 0.5 * (errors @ head * z).mean(0)
        m = np.clip(m - 0.3 * speed, 0, 1)
    np.testing.assert_allclose(masks, m, atol=2e-2 if masks.dtype == torch.bfloat16 else 5e-3)
    assert (m < 0.98).any()


def test_as_the_reference_unlearns_and_recovers() -> None:
    """`train_step_unlearning` and `train_step_recovering` of bboylyg/RNP at eeae192 (main.py), run
    with its defaults on the same network, three and four times over four batches of ten images: the
    bias of the head that is unlearned, and the masks.
    """
    bias = [-0.5728, -0.2838, 0.3640, -0.2773]
    learned = [
        *(1, 1, 0.4628, 0.9020, 0.7460, 1, 1, 1),
        *(0.5625, 0.6709, 0.8568, 1, 0.6039, 0.9739, 0.5838, 1),
    ]
    batches = in_batches(images_by_formula(40), 10)
    given: Any = SimpleNamespace(once=lambda: iter(batches))
    rnp = RNP(unlearning_epochs=3, recovering_epochs=4, clean_threshold=0)
    with default_precision("fp32"):
        unlearned, _ = rnp._unlearn(wide_by_formula(), given)
        masks = rnp._recover(unlearned, given)
    found = unlearned.get_parameter("network.head.bias")
    assert found.tolist() == pytest.approx(bias, abs=1e-4)
    assert masks["network.body.norm"].tolist() == pytest.approx(learned, abs=2e-4)


def test_masks_stay_between_0_and_1() -> None:
    result = repaired(classifier(InPlace()), recovering_lr=50.0)
    masks = torch.cat(list(result.tensors.values()))
    assert (masks == 0).any() and (masks == 1).any() and masks.min() >= 0 and masks.max() <= 1


def test_the_original_network_is_pruned_and_nothing_else_of_it_changes() -> None:
    model = classifier(InPlace())
    before = copy.deepcopy(model.state_dict())
    result = repaired(model, pruning_number=0.9, recovering_lr=2.0)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    changed = {
        name
        for name, value in result.model.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert changed and changed <= {"network.body.bn1.weight", "network.body.bn2.weight"}
    for layer in ("network.body.bn1", "network.body.bn2"):
        small = result.tensors[f"mask.{layer}"] < 0.9
        assert torch.equal(result.model.get_parameter(f"{layer}.weight") == 0, small)


def test_erratum_the_threshold_is_chosen_on_the_validation_split(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(RNP, "_unlearn", lambda *_: (planted_choice.cornered(), [0.1]))
    monkeypatch.setattr(RNP, "_recover", lambda *_: planted_choice.MASKS)
    outcome = RNP().respond(planted_choice.case())
    assert outcome.sweep is not None and outcome.notes["threshold"] == 0.3
    assert outcome.sweep.path.pruned(outcome.sweep.chosen) == {}  # type: ignore[union-attr]


def test_erratum_gradients_of_unlearning_are_not_clipped() -> None:
    """The code calls its clipping to a norm of 20 where it has no effect; a step beyond that norm
    is taken whole.
    """
    model = Classifier(Network(nn.Flatten(), width=108), (0.0,) * 3, (0.001,) * 3)
    before = model.head.weight.detach().clone()
    network, _ = RNP(unlearning_lr=1.0, unlearning_epochs=1, weight_decay=0)._unlearn(
        model, passes(CLEAN.train)
    )
    assert float((network.get_parameter("network.head.weight").detach() - before).norm()) > 100


def test_an_overflow_is_said() -> None:
    with pytest.raises(Diverged, match=r"rnp: unlearning diverged .* lower unlearning_lr"):
        repaired(classifier(InPlace()), unlearning_lr=1e30, clean_threshold=0)


@pytest.mark.parametrize("flip", [False, True])
def test_same_generator_same_masks(flip: bool) -> None:
    first, second = (repaired(classifier(InPlace()), flip=flip, shift=1).tensors for _ in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_layers_with_a_scale_other_than_batchnorm_are_masked_too() -> None:
    assert {name.rpartition(".")[2] for name in repaired(classifier(Tokens())).tensors} == {
        "group",
        "norm",
    }


def test_no_norms_is_an_answer() -> None:
    with pytest.raises(NotApplicable, match="no normalisation layer"):
        repaired(classifier(Plain()))
