"""The measurement of what a defense returned: predictions of the defended model and of every step
of its sweep.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchbd.defense.case import Case
from benchbd.defense.outcome import Outcome, Sweep
from benchbd.engine.inference import predict
from benchbd.engine.structure import hooks
from benchbd.engine.sweep import sweep_predictions
from benchbd.measure.along_training import TrainingMeasurements
from benchbd.measure.counting import REJECTED, count
from benchbd.measure.shares import Counts, Curve, CurvePoint, Metrics, OperatingPoint


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The predicted classes (N,) of the clean and (M,) of the triggered test images, what follows
    from them, and the measured steps of a sweep. seconds: how long the evaluation took.
    """

    clean_predictions: Tensor
    triggered_predictions: Tensor
    counts: Counts
    metrics: Metrics
    curve: Curve | None
    operating_points: tuple[OperatingPoint, ...]
    seconds: float


def evaluate(case: Case, outcome: Outcome, along: TrainingMeasurements) -> Evaluation:
    """Measure ACC, ASR and RC of the defended model. A rejected input counts as a hit for none of
    them.
    """
    start = time.perf_counter()
    attack = case.attack
    swept = measure_sweep(case, outcome.sweep) if outcome.sweep else None
    clean, triggered = _earlier_predictions(case, outcome, along, swept) or tuple(
        predict(outcome.model, images, precision=case.machine.precision, what="evaluating")
        for images in (attack.test.images, attack.triggered.images)
    )
    clean, triggered = (
        _with_rejections(clean, outcome.clean_rejected),
        _with_rejections(triggered, outcome.triggered_rejected),
    )
    counts = count(clean, triggered, attack.test, attack.triggered)
    curve = swept.curve if swept else None
    return Evaluation(
        clean,
        triggered,
        counts,
        Metrics.from_counts(counts, attack.metrics()),
        curve,
        tuple(_operating_point(curve, name, step) for name, step in outcome.kept.items())
        if curve
        else (),
        time.perf_counter() - start,
    )


def _earlier_predictions(
    case: Case, outcome: Outcome, along: TrainingMeasurements, swept: MeasuredSweep | None
) -> tuple[Tensor, Tensor] | None:
    """Return the predictions of the defended model if they were made before, at the end of its
    training or in its sweep; else None.
    """
    known = along.predictions_of(outcome.model)
    if known is None and swept is not None and outcome.sweep is not None:
        chosen = outcome.sweep.chosen
        if _alike(outcome.model, outcome.sweep.path.at(case.model(), chosen)):
            return swept.clean[chosen], swept.triggered[chosen]
    return known


def _alike(first: nn.Module, second: nn.Module) -> bool:
    """Return whether two networks are of one class, hold the same values and have the same
    hooks.
    """
    if type(first) is not type(second) or hooks(first) != hooks(second):
        return False
    mine, theirs = first.state_dict(), second.state_dict()
    return mine.keys() == theirs.keys() and all(
        torch.equal(value, theirs[name]) for name, value in mine.items()
    )


def _with_rejections(predictions: Tensor, rejected: Tensor | None) -> Tensor:
    """Return the predictions with `REJECTED` in the places of rejected inputs."""
    return predictions if rejected is None else torch.where(rejected, REJECTED, predictions)


@dataclass(frozen=True, eq=False)
class MeasuredSweep:
    """The curve of a sweep, with the predicted classes (S, N) of the clean and (S, M) of the
    triggered test images from which it was computed.
    """

    curve: Curve
    clean: Tensor
    triggered: Tensor


def measure_sweep(case: Case, sweep: Sweep) -> MeasuredSweep:
    """Measure every step of the sweep on the test sets, which the defense never sees."""
    attack = case.attack
    clean, triggered = (
        sweep_predictions(
            case.model(),
            sweep.path,
            images,
            unpruned=undefended if case.computes_as_victim else None,
            precision=case.machine.precision,
            what=f"evaluating the sweep ({which})",
        )
        for which, images, undefended in (
            ("clean", attack.test.images, attack.clean_predictions),
            ("triggered", attack.triggered.images, attack.triggered_predictions),
        )
    )
    points = []
    for step, value in enumerate(sweep.path.values):
        metrics = Metrics.from_counts(
            count(clean[step], triggered[step], attack.test, attack.triggered)
        )
        points.append(
            CurvePoint(
                value=value,
                units=sweep.path.units_at(step),
                acc=metrics.acc,
                asr=metrics.asr,
                rc=metrics.rc,
                validation_acc=sweep.validation_acc[step] if sweep.validation_acc else None,
            )
        )
    return MeasuredSweep(
        Curve(axis=sweep.path.axis, points=tuple(points), chosen=sweep.chosen), clean, triggered
    )


def _operating_point(curve: Curve, name: str, step: int) -> OperatingPoint:
    point = curve.points[step]
    assert point.validation_acc is not None
    return OperatingPoint(
        name=name,
        value=point.value,
        units=point.units,
        validation_acc=point.validation_acc,
        acc=point.acc,
        asr=point.asr,
        rc=point.rc,
    )
