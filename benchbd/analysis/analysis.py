"""The contract of analyses: they look at models before and after a defense and say why the numbers
are what they are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch

from benchbd.analysis.findings import Findings, Measure
from benchbd.analysis.scene import Scene
from benchbd.plugin.plugin import Plugin


class Analysis(Plugin, ABC):
    """A look at the models of one attack result. It writes `look`, and states in `measures` what
    each of its numbers means.

    It may see what no defender has, so nothing that it finds enters a ranking. The models that it
    is handed are afterwards as they were.

    >>> class Agreement(Analysis):
    ...     api = 1
    ...     measures = {"agreement": Measure("share of clean images answered alike", 0, 1)}
    ...
    ...     def look(self, scene, rng):
    ...         before, _ = scene.predictions["backdoored"]
    ...         return Findings({
    ...             name: {"agreement": float((clean == before).float().mean())}
    ...             for name, (clean, _) in scene.predictions.items()
    ...         })
    >>> Agreement().look(scene, rng).numbers["backdoored"]
    {'agreement': 1.0}
    """

    kind: ClassVar[str] = "analysis"
    measures: ClassVar[Mapping[str, Measure]] = {}

    @abstractmethod
    def look(self, scene: Scene, rng: torch.Generator) -> Findings:
        """Return what there is to see in the models of `scene`.

        rng: draws for this analysis alone, the same whichever defenses are shown, so that pictures
        can be compared. Raises `NotApplicable` with the reason where there is nothing to look at.
        """
