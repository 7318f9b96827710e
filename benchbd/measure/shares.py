"""ACC, ASR, RC and DER as shares, with the counts behind them, and curves of them, in the form that
results store.

ACC: share of clean test images classified as their label. ASR: share of triggered images, none of
them of the attacked label, classified as the attacked label. RC: share of those same images
classified as their true label. False activation: share of triggered images for which the trigger is
not meant, classified as the attacked label. DER: (max(0, drop of ASR) - max(0, drop of ACC) + 1) /
2 (Zhu et al. 2023, 2304.11823). All are shares in [0, 1].
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Counts(BaseModel):
    """How many images were classified, and for how many of them the answer counts for the metric.
    `true_hits` is None where the true labels are not known.
    """

    model_config = ConfigDict(frozen=True)

    clean: int
    clean_hits: int
    triggered: int
    attack_hits: int
    true_hits: int | None
    bystanders: int = 0
    bystander_hits: int = 0


class Metrics(BaseModel):
    """Shares in [0, 1]; None where there is no image to classify. `false_activation` exists only
    for source-specific attacks.
    """

    model_config = ConfigDict(frozen=True)

    acc: float
    asr: float | None
    rc: float | None
    der: float | None = None
    false_activation: float | None = None

    @classmethod
    def from_counts(cls, counts: Counts, baseline: Metrics | None = None) -> Metrics:
        """Return the shares that follow from the counts. DER needs a `baseline`, the metrics of the
        undefended model.
        """
        assert counts.attack_hits + (counts.true_hits or 0) <= counts.triggered, (
            "ASR + RC cannot exceed 1"
        )
        acc = counts.clean_hits / counts.clean
        asr = counts.attack_hits / counts.triggered if counts.triggered else None
        rc = (
            counts.true_hits / counts.triggered
            if counts.triggered and counts.true_hits is not None
            else None
        )
        stray = counts.bystander_hits / counts.bystanders if counts.bystanders else None
        return cls(
            acc=acc,
            asr=asr,
            rc=rc,
            der=defense_effectiveness(baseline, acc, asr),
            false_activation=stray,
        )


def defense_effectiveness(baseline: Metrics | None, acc: float, asr: float | None) -> float | None:
    """Return DER against the undefended model, or None without a baseline or without triggered
    images.
    """
    if baseline is None or baseline.asr is None or asr is None:
        return None
    return (max(0.0, baseline.asr - asr) - max(0.0, baseline.acc - acc) + 1) / 2


def percent(share: float | None) -> str:
    """Return `97.2` for 0.9722, and a dash for what could not be measured."""
    return "-" if share is None else f"{100 * share:.1f}"


class CurvePoint(BaseModel):
    """One step of a sweep: its `value` on the axis, the number of pruned units if there are any,
    and the shares measured there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    units: int | None = None
    acc: float
    asr: float | None
    rc: float | None
    validation_acc: float | None = None


class Curve(BaseModel):
    """A sweep that the core measured afterwards; `chosen` is the place of the step that was
    reported.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "curve"
    axis: str
    split: str = "test"
    points: tuple[CurvePoint, ...]
    chosen: int | None = None


class OperatingPoint(BaseModel):
    """A model that is stored beside the reported one, such as the last one within a tolerance."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    value: float
    units: int | None = None
    validation_acc: float
    acc: float
    asr: float | None
    rc: float | None
