"""Defended models, rebuilt from their parameters, and which cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchbd.engine.classifier import Classifier
from benchbd.errors import RecordError
from benchbd.record.defended_model import stored_defense
from support.replacing import always_class_0, repaired


def another_head(model: Classifier) -> Classifier:
    model.head = torch.nn.Sequential(torch.nn.Linear(16, 10))
    return model.eval()


@pytest.mark.slow
def test_a_repair_in_a_hook_is_not_given_out_without_it(
    monkeypatch: pytest.MonkeyPatch, result_file: Path
) -> None:
    attack = repaired(monkeypatch, result_file, always_class_0)
    every_second = (
        attack.clean_predictions[::2],
        attack.triggered_predictions[::2],
    )  # more than 256, at most 512
    differing, asked = (
        sum(int((classes != 0).sum()) for classes in every_second),
        sum(map(len, every_second)),
    )
    with pytest.raises(
        RecordError,
        match=f"predicts {differing} of {asked} test images otherwise .* a hook or a wrapper",
    ):
        stored_defense(attack, None).model()


def test_another_network_is_told_apart_by_its_entries(
    monkeypatch: pytest.MonkeyPatch, result_file: Path
) -> None:
    attack = repaired(monkeypatch, result_file, another_head)
    with pytest.raises(RecordError) as caught:
        stored_defense(attack, None).model()
    assert str(caught.value).endswith(
        "cannot be rebuilt from it: missing: network.head.weight, network.head.bias; "
        "not of the network: network.head.0.weight, network.head.0.bias"
    )
