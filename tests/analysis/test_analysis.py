"""The contract of analyses: one verb, with the parameters that it is given."""

from __future__ import annotations

import pytest
import torch

from benchbd.api import Analysis, Findings, Scene
from benchbd.errors import ContractBroken


class Silent(Analysis):
    api = 1


class Crooked(Analysis):
    api = 1

    def look(self, model: Scene, rng: torch.Generator) -> Findings:  # type: ignore[override]
        return Findings({})


@pytest.mark.parametrize(
    ("cls", "told"),
    [(Silent, r"does not write look; .*def look\(self, scene, rng\)"), (Crooked, "def look")],
)
def test_an_analysis_writes_its_verb_as_it_is_called(cls: type[Analysis], told: str) -> None:
    with pytest.raises(ContractBroken, match=told):
        cls.require_contract()


def test_it_is_a_kind_of_its_own() -> None:
    assert (Analysis.kind, Analysis.measures) == ("analysis", {})
