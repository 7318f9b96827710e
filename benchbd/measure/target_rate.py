"""The share of clean images that are taken for the attacked label, and the doubt about an ASR that
follows from it. This module works without torch, so that a board of thousands of cells is built
quickly. The figures are counted in `utility.py`.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from benchbd.measure.shares import Metrics, defense_effectiveness, percent

LEAST_DOUBTFUL_ASR = 0.1
"""An ASR up to this share is never doubted because of the rate without the trigger."""

DOUBTFUL_SHARE_OF_ASR = 1 / 3
"""An ASR is doubtful if the rate without the trigger is more than this share of it."""


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
        """Return the shares by name, without the number of the class."""
        return self.model_dump(exclude={"least_class"})


def effectiveness_above(
    baseline: Metrics, acc: float, asr: float | None, found: Utility
) -> float | None:
    """Return DER computed from ASR - b, before and after the defense: an image that is taken for
    the attacked label without the trigger, too, is not fooled by the backdoor. It is None where one
    of the figures is missing.
    """
    b, before = found.target_rate, found.target_rate_before
    if asr is None or baseline.asr is None or b is None or before is None:
        return None
    above = baseline.model_copy(update={"asr": max(0.0, baseline.asr - before)})
    return defense_effectiveness(above, acc, max(0.0, asr - b))


def target_doubt(asr: float | None, found: Utility) -> str:
    """Return why an ASR says less about a backdoor than it seems to; empty where there is no such
    reason.
    """
    b = found.target_rate
    if asr is None or b is None or asr <= LEAST_DOUBTFUL_ASR or b <= asr * DOUBTFUL_SHARE_OF_ASR:
        return ""
    return (
        f"without the trigger, {percent(b)} % of clean images of other classes are taken for the "
        f"attacked label, with it {percent(asr)} %: much of that ASR is not the trigger's doing"
    )
