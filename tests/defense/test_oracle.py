"""The oracle's rule by hand, and a repair whose honest choice is another one."""

from __future__ import annotations

import pytest
import torch

from benchbd.api import CleanSet, OracleSelection, Repair, Repaired, Sweep, path_by_number
from benchbd.defense.oracle import best_on_test
from benchbd.measure.shares import Curve, CurvePoint
from support import planted_choice


def curve(*points: tuple[float, float | None]) -> Curve:
    """A step for each pair of ACC and ASR."""
    steps = tuple(
        CurvePoint(value=float(step), acc=acc, asr=asr, rc=None)
        for step, (acc, asr) in enumerate(points)
    )
    return Curve(axis="number", points=steps, chosen=0)


@pytest.mark.parametrize(
    ("points", "loses", "chosen"),
    [
        ([(0.8, 1.0), (0.79, 0.6), (0.5, 0.0)], 0.1, 1),  # the last loses more than it may
        ([(0.8, 1.0), (0.79, 0.6), (0.5, 0.0)], 0.5, 2),
        ([(0.8, 1.0), (0.72, 0.6)], 0.1, 1),  # nine tenths of 0.8, to the last
        ([(0.8, 1.0), (0.71, 0.6)], 0.1, 0),
        ([(0.8, 0.5), (0.8, 0.2), (0.9, 0.2)], 0.1, 1),  # of equals the earliest
        ([(0.8, None), (0.8, None)], 0.1, 0),  # nothing to be attacked
    ],
)
def test_the_lowest_asr_among_steps_that_keep_their_accuracy(
    points: list[tuple[float, float | None]], loses: float, chosen: int
) -> None:
    assert best_on_test(curve(*points), loses) == chosen


class Corner(Repair):
    """Prunes none, the corner, and all; reports none."""

    api = 1
    name = "corner"

    def repair(
        self, model: torch.nn.Module, clean: CleanSet, rng: torch.Generator
    ) -> torch.nn.Module | Repaired:
        path = path_by_number(planted_choice.MASKS, [0, 1, 3], "scale")
        return Repaired(path.at(model, 0), Sweep(path, (1.0, 0.5, 0.5), chosen=0), notes={"of": 3})


class CornerOracle(OracleSelection, Corner):
    name = "corner_oracle"


class Plain(OracleSelection):
    """Sweeps over nothing, so that there is nothing to choose."""

    api = 1
    name = "plain"

    def repair(
        self, model: torch.nn.Module, clean: CleanSet, rng: torch.Generator
    ) -> torch.nn.Module | Repaired:
        return model.eval()


def test_the_step_that_is_best_on_the_test_set_is_reported_and_both_are_noted() -> None:
    outcome = CornerOracle().respond(planted_choice.case())
    assert outcome.sweep is not None and outcome.sweep.chosen == 1
    pruned = outcome.sweep.path.at(planted_choice.cornered(), 1).state_dict()
    assert all(
        torch.equal(value, pruned[name]) for name, value in outcome.model.state_dict().items()
    )
    assert outcome.notes == {"of": 3, "honest_choice": 0, "oracle_choice": 1}


def test_it_is_marked_as_an_oracle_and_the_honest_one_is_not() -> None:
    assert CornerOracle.oracle and not Corner.oracle


def test_without_a_sweep_the_answer_stays() -> None:
    outcome = Plain().respond(planted_choice.case())
    assert outcome.sweep is None and "oracle_choice" not in outcome.notes
