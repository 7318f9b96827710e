"""The figures that a test draws."""

from __future__ import annotations

from typing import Any

import pytest
from matplotlib.figure import Figure


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Those that are saved."""
    found: list[Figure] = []
    save = Figure.savefig

    def noted(figure: Figure, *words: Any, **more: Any) -> None:
        found.append(figure)
        save(figure, *words, **more)

    monkeypatch.setattr(Figure, "savefig", noted)
    return found
