"""Checks of analyses beside those that the mutants are caught by."""

from __future__ import annotations

from typing import ClassVar

import torch

from benchbd.api import Analysis, Findings, Measure, Overlay, Scene
from benchbd.testing.checks.analysis import MOST_TILES, pictures_can_be_read
from benchbd.testing.result import RuleBroken
from benchbd.testing.subject import Subject


class Tiled(Analysis):
    """Shows as many images as it is told."""

    api = 1
    name = "tiled"
    measures: ClassVar = {"none": Measure("nothing")}
    images: ClassVar[int] = MOST_TILES

    def look(self, scene: Scene, rng: torch.Generator) -> Findings:
        pairs = scene.pairs(self.images)
        maps = torch.rand(len(pairs), 32, 32, generator=rng)
        words = [""] * len(pairs)
        picture = Overlay(pairs.clean, {"backdoored": maps}, words, "Bright is much.")
        return Findings({"backdoored": {"none": 0.0}}, pictures={"maps": picture})


class TooMany(Tiled):
    api = 1
    images: ClassVar[int] = MOST_TILES + 1


def test_as_many_tiles_as_can_be_seen() -> None:
    pictures_can_be_read(Subject(Tiled))
    try:
        pictures_can_be_read(Subject(TooMany))
    except RuleBroken as fault:
        assert "shows 25 images; show at most 2000 points and 24 images" in str(fault)
    else:
        raise AssertionError("25 tiles passed")
