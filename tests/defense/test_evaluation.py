"""What is measured of a defended model, at the end and along the way."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchbd.api import CleanSet, Recipe, fit
from benchbd.record.attack_result import AttackResult
from support.defenses import Constant, Run, mend


@pytest.mark.parametrize("answer", [0, 7])
def test_metrics_by_hand(run: Run, stored: AttackResult, answer: int) -> None:
    metrics, baseline = run(mend(lambda *_: Constant(answer).eval())).metrics, stored.metrics()
    assert metrics.acc == float((stored.test.labels == answer).double().mean())
    assert metrics.asr == float(answer == 0)
    assert metrics.rc == float((stored.triggered.true_labels == answer).double().mean())
    assert baseline.asr is not None
    drops = max(0.0, baseline.asr - metrics.asr), max(0.0, baseline.acc - metrics.acc)
    assert metrics.der == pytest.approx((drops[0] - drops[1] + 1) / 2)


@pytest.mark.slow
def test_what_is_measured_along_the_way_is_no_cost_of_the_method(
    run: Run, stored: AttackResult
) -> None:
    def act(model: nn.Module, clean: CleanSet, rng: torch.Generator) -> nn.Module:
        return fit(
            model, clean.all(), Recipe(epochs=4, batch_size=32, lr=0.01, precision="fp32"), rng
        )

    plain, watched = run(mend(act)), run(mend(act), evaluate_every=2)
    assert plain.cell.curves == ()
    (curve,) = watched.cell.curves
    assert (curve.name, curve.axis, [point.value for point in curve.points]) == (
        "epochs",
        "epoch",
        [2.0, 4.0],
    )
    assert (curve.points[-1].acc, curve.points[-1].asr) == (
        watched.metrics.acc,
        watched.metrics.asr,
    )
    assert plain.metrics == watched.metrics
    passes = 4 * plain.cell.cost.clean_samples
    assert {result.cell.cost.forward_samples for result in (plain, watched)} == {passes}
    assert {result.cell.cost.backward_samples for result in (plain, watched)} == {passes}
    assert {result.cell.cost.optimizer_steps for result in (plain, watched)} == {
        4 * -(-plain.cell.cost.clean_samples // 32)
    }
    assert plain.cell.key == watched.cell.key
