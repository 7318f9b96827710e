"""ACC, ASR, RC and DER as shares, with the counts behind them, and curves of them: what results
store.

ACC: share of clean test images classified as their label. ASR: share of triggered images, none of
them of the attacked label, classified as the attacked label. RC: share of those same images
classified as their true label. False activation: share of triggered images for which the trigger is
not meant, classified as the attacked label. DER: (max(0, drop of ASR) - max(0, drop of ACC) + 1) /
2 (Zhu et al. 2023, 2304.11823). All are shares in [0, 1].
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Counts(BaseModel):
    """How many images were asked, and how many answered as the metric counts; None where nobody
    knows the true labels.
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
    """Shares in [0, 1]; None where there is no image to ask. `false_activation`: of source-specific
    attacks alone.
    """

    model_config = ConfigDict(frozen=True)

    acc: float
    asr: float | None
    rc: float | None
    der: float | None = None
    false_activation: float | None = None

    @classmethod
    def from_counts(cls, counts: Counts, baseline: Metrics | None = None) -> Metrics:
        """Return the shares that the counts give; DER only beside a `baseline`, the undefended
        model.
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
    """Return DER against the undefended model; None without a baseline or without triggered
    images.
    """
    if baseline is None or baseline.asr is None or asr is None:
        return None
    return (max(0.0, baseline.asr - asr) - max(0.0, baseline.acc - acc) + 1) / 2


def percent(share: float | None) -> str:
    """Return `97.2` for 0.9722; a dash for what could not be measured."""
    return "-" if share is None else f"{100 * share:.1f}"


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
    """A sweep measured by the core after the fact; `chosen` is the place of the step that was
    reported.
    """

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
    units: int | None = None
    validation_acc: float
    acc: float
    asr: float | None
    rc: float | None
