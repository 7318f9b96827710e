"""A real small result, to be checked, changed and made again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchbd.defense.defense import Defense
from benchbd.plugin.registry import create
from benchbd.record.attack_result import AttackResult
from support.forged import PREDICTIONS


@pytest.fixture(scope="package")
def honest(stored: AttackResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a real cell and its predictions."""
    folder = tmp_path_factory.mktemp("defense")
    create(Defense, "none").defense(stored.path, device="cpu", save_path=folder)
    return folder


@pytest.fixture
def path(honest: Path, tmp_path: Path) -> Path:
    """A copy of the real cell to change."""
    for name in ("cell.json", PREDICTIONS):
        shutil.copy(honest / name, tmp_path / name)
    return tmp_path / "cell.json"
