"""Oracle selection: it chooses the step of a sweep that looks best on the test set, as some
published code does.

Such a result is shown beside the honest choice and never ranked, because no defender has the
triggered images that this rule reads.
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
    """A base class to put before a repair with a sweep, so that its step is chosen on the test set,
    as some published code does. No defender could do that, so such a method is shown and never
    ranked.

    Among the steps whose ACC is at least 1 - `acc_ratio` times that of the first step, it takes the
    one with the lowest ASR, and the earliest of equals. `acc_ratio` is a parameter of the repair;
    it is 0.1 if the repair has none.

    >>> class Prune(Repair):
    ...     api = 1
    ...     acc_ratio: float = param(0.1, "share of ACC that may be lost", ge=0, le=1)
    ...
    ...     def repair(self, model, clean, rng):
    ...         return model.eval()
    >>> class PruneOracle(OracleSelection, Prune):
    ...     api = 1
    ...     name = "prune_oracle"
    >>> PruneOracle().oracle, Prune().oracle
    (True, False)
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
    """Return the step with the lowest ASR among those whose ACC is at least 1 - acc_ratio times
    that of the first step.
    """
    allowed = (1 - acc_ratio) * curve.points[0].acc
    within = [step for step, point in enumerate(curve.points) if point.acc >= allowed - 1e-9]
    return min(within, key=lambda step: (curve.points[step].asr or 0.0, step))
