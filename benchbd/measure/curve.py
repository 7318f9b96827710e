"""Curves: ACC, ASR and RC along a sweep or along training, measured by the core after the fact."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pydantic import BaseModel, ConfigDict
from torch import nn

from benchbd.data.images import ImageSet
from benchbd.data.poisoned import TriggeredSet
from benchbd.engine.counting import uncounted
from benchbd.engine.hardware import Precision
from benchbd.engine.inference import predict
from benchbd.engine.progress import watching
from benchbd.measure.metrics import Metrics, count


class CurvePoint(BaseModel):
    """One step of a sweep: `value` along the axis, pruned units if any, shares measured there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    units: int | None = None
    acc: float
    asr: float | None
    rc: float | None
    validation_acc: float | None = None


class Curve(BaseModel):
    """A sweep measured by the core after the fact; `chosen` is the place of the step that was reported."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "curve"
    axis: str
    split: str = "test"
    points: tuple[CurvePoint, ...]
    chosen: int | None = None


class OperatingPoint(BaseModel):
    """A model kept beside the reported one, such as the last inside a tolerance."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    value: float
    units: int
    validation_acc: float
    acc: float
    asr: float | None
    rc: float | None


def measure_point(
    model: nn.Module, test: ImageSet, triggered: TriggeredSet, value: float, precision: Precision = "auto"
) -> CurvePoint:
    """ACC, ASR and RC of a model at one place of a curve."""
    clean, attacked = (predict(model, images, precision=precision) for images in (test.images, triggered.images))
    metrics = Metrics.from_counts(count(clean, attacked, test, triggered))
    return CurvePoint(value=value, acc=metrics.acc, asr=metrics.asr, rc=metrics.rc)


@contextmanager
def along_training(
    test: ImageSet, triggered: Callable[[], TriggeredSet], every: int, precision: Precision = "auto"
) -> Iterator[list[CurvePoint]]:
    """Measure models every `every` epochs of the training inside, at no cost to it; never when it is 0."""
    points: list[CurvePoint] = []

    def measure(model: nn.Module, epochs: int) -> None:
        if epochs % every == 0:
            with uncounted():
                points.append(measure_point(model, test, triggered(), float(epochs), precision))

    with watching(measure if every else None):
        yield points
