"""Every check of conduct catches the plugin that leaves something else than it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchbd.testing.checks import conduct
from support.mutants import breaking, require_caught


@pytest.mark.slow
@breaking(conduct)
def test_a_mutant_is_caught_by_its_check(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    require_caught(name)
