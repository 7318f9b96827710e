"""Every check of defenses catches the plugin that breaks its rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchbd.testing.checks import defense
from support.mutants import breaking, require_caught


@pytest.mark.slow
@breaking(defense)
def test_a_mutant_is_caught_by_its_check(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    require_caught(name)
