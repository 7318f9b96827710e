"""A plugin under check: where it is tried, and with which parameters."""

from __future__ import annotations

import pytest

from benchbd.plugin.registry import load
from benchbd.testing.subject import Subject, quick
from support.mutants import mutant


@pytest.mark.slow
def test_a_plugin_is_tried_where_it_applies() -> None:
    subject = Subject(mutant("transformers_only"))
    assert (subject.architecture, subject.trial.changed) == (
        "transformer",
        ("the clean training images",),
    )


def test_quick_parameters_are_within_their_ranges() -> None:
    assert quick(load("defense", "anp")) == {"nb_iter": 3}
    assert quick(load("defense", "ft")) == {"epochs": 3}
