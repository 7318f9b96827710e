"""Oracle selection: the step of a sweep that looks best on the test set, as some reference code
chooses it.

Shown beside the honest choice, never ranked: no defender has the triggered images that this rule
reads.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from benchbd.defense.case import Case
from benchbd.defense.evaluation import measure_sweep
from benchbd.defense.outcome import Outcome
from benchbd.defense.repair import Repair
from benchbd.measure.shares import Curve


class OracleSelection(Repair):
    """Stands before a repair that sweeps and has a parameter `acc_ratio`: `class
    AnpOracle(OracleSelection, ANP)`.

    Of all steps that lose at most the share `acc_ratio` of the ACC of the first, the one with the
    lowest ASR; the earliest of equals.
    """

    oracle: ClassVar[bool] = True

    def respond(self, case: Case) -> Outcome:
        outcome = super().respond(case)
        if outcome.sweep is None:
            return outcome
        curve = measure_sweep(case, outcome.sweep).curve
        chosen = best_on_test(curve, float(getattr(self, "acc_ratio", 0.1)))
        honest = outcome.sweep.chosen
        noted = {
            "honest_choice": curve.points[honest].value,
            "oracle_choice": curve.points[chosen].value,
        }
        return dataclasses.replace(
            outcome,
            model=outcome.model
            if chosen == honest
            else outcome.sweep.path.at(case.model(), chosen),
            sweep=dataclasses.replace(outcome.sweep, chosen=chosen),
            notes=outcome.notes | noted,
        )


def best_on_test(curve: Curve, acc_ratio: float) -> int:
    """The step with the lowest ASR among those whose ACC is at least 1 - acc_ratio times that of
    the first.
    """
    allowed = (1 - acc_ratio) * curve.points[0].acc
    within = [step for step, point in enumerate(curve.points) if point.acc >= allowed - 1e-9]
    return min(within, key=lambda step: (curve.points[step].asr or 0.0, step))
