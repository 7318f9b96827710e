"""Super-fine-tuning: the saw of its learning rate, and that training follows it."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from benchbd.api import CleanSet
from benchbd.engine.hardware import default_precision
from benchbd_zoo.defense.super_ft import SuperFT
from support.tiny_networks import InPlace, classifier, random_images

CLEAN = CleanSet(random_images(24, seed=1), random_images(8, seed=2))


def test_the_saw_over_both_phases() -> None:
    """Two steps up, four down, four steps an epoch: phase 1 lasts eight steps, which ends amid a
    saw.
    """
    sft = SuperFT(
        lr_base=0.1,
        lr_max1=0.9,
        lr_max2=0.3,
        init_phase_epochs=2,
        increasing_steps=2,
        decreasing_steps=4,
    )
    expected = [0.1, 0.5, 0.9, 0.7, 0.5, 0.3, 0.1, 0.5, 0.3, 0.25, 0.2, 0.15, 0.1, 0.2, 0.3]
    assert [sft.learning_rate(step, 4) for step in range(15)] == pytest.approx(expected)


def test_the_defaults_are_those_of_the_known_implementation() -> None:
    rates = [SuperFT().learning_rate(step, 100) for step in range(100 * 100)]
    assert max(rates) == pytest.approx(2.5) and min(rates) == pytest.approx(0.03)
    assert max(rates[4000:]) == pytest.approx(0.05) and rates[4000 - 10] == pytest.approx(2.5)


def bias_after(epochs: int) -> Tensor:
    """The bias of the head, which alone may learn, after as many epochs of one step each."""
    model = classifier(InPlace())
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.endswith("head.bias"))
    saw = {
        "lr_base": 1e-3,
        "lr_max1": 2e-2,
        "init_phase_epochs": 9,
        "increasing_steps": 1,
        "decreasing_steps": 1,
    }
    sft = SuperFT(epochs=epochs, batch_size=32, shift=0, **saw)
    with default_precision("fp32"):
        return sft.repair(model, CLEAN, torch.Generator()).head.bias.detach()


def test_training_follows_the_saw() -> None:
    places = [bias_after(epochs) for epochs in range(4)]
    base, peak, again = (float((after - before).norm()) for before, after in pairwise(places))
    assert peak / base == pytest.approx(20, rel=0.05) and again / peak == pytest.approx(
        1 / 20, rel=0.05
    )


def test_as_the_reference_the_rates_of_two_steps_an_epoch() -> None:
    """`adjust_lr` of vtu81/backdoor-toolbox at 9d4d909 (super_finetuning.py) with its default
    numbers; phase 1 ends after 80 steps.
    """
    rates = {0: 0.03, 3: 0.771, 10: 2.5, 17: 0.771, 25: 1.265, 79: 0.277, 85: 0.04, 90: 0.05}
    found = {step: SuperFT().learning_rate(step, 2) for step in rates}
    assert found == pytest.approx(rates)
