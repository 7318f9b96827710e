"""Measurements of ACC, ASR and RC between the epochs of a training, which do not count as
its cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import Tensor, nn

from benchbd.data.images import ImageSet
from benchbd.data.poisoned import TriggeredSet
from benchbd.engine.counting import exclude_from_cost
from benchbd.engine.inference import predict
from benchbd.engine.progress import call_after_epochs
from benchbd.engine.recipe import Precision
from benchbd.engine.structure import look
from benchbd.measure.counting import count
from benchbd.measure.shares import CurvePoint, Metrics


@dataclass
class TrainingMeasurements:
    """The measurements during a training: the points of a curve, and the predictions of the model
    that was measured last.
    """

    points: list[CurvePoint] = field(default_factory=list)
    _last: tuple[nn.Module, object, Tensor, Tensor] | None = None

    def measure(
        self,
        model: nn.Module,
        test: ImageSet,
        triggered: TriggeredSet,
        value: float,
        precision: Precision,
    ) -> None:
        """Predict both test sets with `model` and add a point at `value` to the curve."""
        clean, attacked = (
            predict(model, images, precision=precision)
            for images in (test.images, triggered.images)
        )
        metrics = Metrics.from_counts(count(clean, attacked, test, triggered))
        self.points.append(CurvePoint(value=value, acc=metrics.acc, asr=metrics.asr, rc=metrics.rc))
        self._last = model, look(model), clean, attacked

    def predictions_of(self, model: nn.Module) -> tuple[Tensor, Tensor] | None:
        """Return the predicted classes of the clean and the triggered images if `model` is the one
        that was measured last and has not changed since; else None.
        """
        if self._last is None or self._last[0] is not model or self._last[1] != look(model):
            return None
        return self._last[2:]


@contextmanager
def measure_along_training(
    test: ImageSet, triggered: Callable[[], TriggeredSet], every: int, precision: Precision = "auto"
) -> Iterator[TrainingMeasurements]:
    """Measure the models that are trained inside the block after every `every` epochs; 0 measures
    none. The time for it is not counted as cost.
    """
    along = TrainingMeasurements()

    def measure(model: nn.Module, epochs: int) -> None:
        if epochs % every == 0:
            with exclude_from_cost():
                along.measure(model, test, triggered(), float(epochs), precision)

    with call_after_epochs(measure if every else None):
        yield along
