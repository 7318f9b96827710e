"""A repair that a test makes up: it gives back the attacked model, changed in some way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from benchbd.api import CleanSet, Repair, Repaired
from benchbd.engine.classifier import Classifier
from benchbd.record.attack_result import AttackResult, load_attack_result


class Replacing(Repair):
    """Gives back the attacked model, changed by `changed`."""

    api = 1
    name = "replacing"
    changed: ClassVar[Callable[[Classifier], Classifier]]

    def repair(self, model: Classifier, clean: CleanSet, rng: torch.Generator) -> Repaired:
        return Repaired(self.changed(model))


def always_class_0(model: Classifier) -> Classifier:
    """A repair that lies in a hook: every image is of class 0."""
    model.register_forward_hook(
        lambda module, given, logits: torch.eye(10)[:1].expand(len(logits), -1)
    )
    return model


def repaired(
    monkeypatch: pytest.MonkeyPatch, file: Path, changed: Callable[[Classifier], Classifier]
) -> AttackResult:
    monkeypatch.setattr(Replacing, "changed", staticmethod(changed), raising=False)
    Replacing().defense(file, device="cpu")
    return load_attack_result(file)
