"""Analyses: what they give back can be stored, drawn and read."""

from __future__ import annotations

import math

from benchbd.api import Analysis, Findings, Overlay, Scatter
from benchbd.errors import ContractBroken
from benchbd.running.analyzing import declared_numbers
from benchbd.testing.check import check, require
from benchbd.testing.result import RuleBroken
from benchbd.testing.subject import Subject

MOST_POINTS = 2000
"""Points in a panel; with more, a picture is a cloud and a vector file is megabytes."""

MOST_TILES = 24
"""Images side by side in a picture."""


@check("smoke", Analysis)
def numbers_are_declared(subject: Subject) -> None:
    """Each of its numbers is declared in `measures`, finite, and within its range; there is one at
    least.
    """
    findings = _findings(subject)
    try:
        numbers = declared_numbers(findings, subject.plugin_as(Analysis))
    except ContractBroken as error:
        raise RuleBroken(str(error)) from None
    values = [value for each in numbers.values() for value in each.values()]
    require(bool(values), "it found no number; a picture alone proves nothing")
    require(all(map(math.isfinite, values)), f"it found numbers that are not finite: {numbers}")


@check("smoke", Analysis)
def pictures_can_be_read(subject: Subject) -> None:
    """Each picture says how to read it, and shows no more than can be seen."""
    for name, picture in _findings(subject).pictures.items():
        require(
            picture.caption.strip().endswith("."),
            f"the caption of {name!r} is {picture.caption!r}; say in a whole sentence how to read "
            "it",
        )
        points = len(picture.groups) if isinstance(picture, Scatter) else 0
        tiles = len(picture.images) if isinstance(picture, Overlay) else 0
        require(
            points <= MOST_POINTS and tiles <= MOST_TILES,
            f"the picture {name!r} shows {points or tiles} "
            f"{'points' if points else 'images'}; show at most {MOST_POINTS} points and "
            f"{MOST_TILES} images",
        )


def _findings(subject: Subject) -> Findings:
    answer = subject.trial.answer
    require(
        isinstance(answer, Findings),
        f"it returned a {type(answer).__name__}, expected Findings",
    )
    found: Findings = answer
    return found
