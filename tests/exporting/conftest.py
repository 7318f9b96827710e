"""A repaired model beside the stored attack result, and the command that exports."""

from __future__ import annotations

import shutil

import pytest

from benchbd.record.attack_result import AttackResult, load_attack_result
from benchbd_zoo.defense.fine_prune import FinePrune


@pytest.fixture(scope="package")
def defended(stored: AttackResult, tmp_path_factory: pytest.TempPathFactory) -> AttackResult:
    """A copy of the stored attack result with one repaired model, of which two steps are kept."""
    copy = tmp_path_factory.mktemp("export") / "small"
    # other tests may have left defenses beside the result, which all workers share
    shutil.copytree(stored.folder, copy, ignore=shutil.ignore_patterns("defense"))
    FinePrune(epochs=0, ratio=0.2, tolerances=(0.05, 0.5)).defense(copy, device="cpu")
    return load_attack_result(copy)
