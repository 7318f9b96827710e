"""The share of clean images that are taken for the attacked label, and what it says of an ASR.

Without torch, so that a board of thousands of cells is built at once; `utility` counts the figures.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from benchbd.measure.shares import Metrics, defense_effectiveness, percent

WORTH_A_LOOK = 0.1
"""ASR up to which a rate without the trigger is no reason for a doubt."""

OF_ASR = 1 / 3
"""Share of an ASR beyond which the rate without the trigger makes it doubtful."""


class Utility(BaseModel):
    """Shares in [0, 1] of the clean test images; None where nobody could count them.

    `target_rate`, called b: of the images that count for ASR, without the trigger, those taken for
    the attacked label. `least_accuracy`: of the class that is recognised least, `least_class`.
    `attacked_recall`: of the attacked label's own images. `agreement`: images on which the defended
    and the undefended model say the same. `..._before`: of the undefended model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    target_rate: float | None = None
    target_rate_before: float | None = None
    least_class: int
    least_accuracy: float
    attacked_recall: float | None = None
    attacked_recall_before: float | None = None
    agreement: float | None = None

    def figures(self) -> dict[str, float | None]:
        """The shares by name, without the number of the class."""
        return self.model_dump(exclude={"least_class"})


def effectiveness_above(
    baseline: Metrics, acc: float, asr: float | None, found: Utility
) -> float | None:
    """DER of ASR above b, before and after the defense: an image that is taken for the attacked
    label without a trigger as well is no work of the backdoor. None where one of the figures is
    missing.
    """
    b, before = found.target_rate, found.target_rate_before
    if asr is None or baseline.asr is None or b is None or before is None:
        return None
    above = baseline.model_copy(update={"asr": max(0.0, baseline.asr - before)})
    return defense_effectiveness(above, acc, max(0.0, asr - b))


def target_doubt(asr: float | None, found: Utility) -> str:
    """Why an ASR says less of a backdoor than it seems to; empty where nothing speaks against
    it.
    """
    b = found.target_rate
    if asr is None or b is None or asr <= WORTH_A_LOOK or b <= asr * OF_ASR:
        return ""
    return (
        f"without the trigger, {percent(b)} % of clean images of other classes are taken for the "
        f"attacked label, with it {percent(asr)} %: much of that ASR is not the trigger's doing"
    )
