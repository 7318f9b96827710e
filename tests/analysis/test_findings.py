"""What an analysis returns is data that nobody changes."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from benchbd.api import Findings, Grid, Histogram, Lines, Measure, Overlay, Picture, Scatter


def test_every_form_of_picture_says_how_to_read_it() -> None:
    forms = set(Picture.__args__)
    assert forms == {Scatter, Lines, Histogram, Grid, Overlay}
    assert all("caption" in {f.name for f in dataclasses.fields(form)} for form in forms)


def test_findings_cannot_be_exchanged_afterwards() -> None:
    found = Findings({"backdoored": {"share": 0.5}})
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.numbers = {}  # type: ignore[misc]
    assert (found.tables, found.pictures, found.notes) == ({}, {}, {})


def test_a_number_has_no_bounds_and_no_direction_unless_it_says_so() -> None:
    plain = Measure("mean of something")
    assert (plain.low, plain.high, plain.better) == (None, None, "neither")
    assert Scatter({}, torch.zeros(0), (), "Points.").names == ()
