"""A cell as it is stored: sealed, frozen, and read back under the names of the stored form."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from benchbd.engine.recipe import Recipe
from benchbd.measure.shares import Counts, Curve, CurvePoint, Metrics, OperatingPoint
from benchbd.record.cell import Cell, CellCost, Flags, Predictions, Status
from benchbd.record.ingredients import Coordinates
from benchbd.record.plugin_record import PluginRecord


def provided(name: str, **params: Any) -> PluginRecord:
    return PluginRecord(
        name=name, provider="somebody", version="1.0", results_version=2, params=params
    )


def cell(**changed: Any) -> Cell:
    coordinates = Coordinates(
        dataset=provided("d", size=8),
        model=provided("m"),
        attack=provided("a", rate=0.1, colour=[1, 2, 3], image=None),
        defense=provided("x"),
        recipe=Recipe(epochs=3).params,
        clean_budget=0.05,
        seed=7,
    )
    content: dict[str, Any] = {"schema": 1, "key": "00ff", "protocol": "p", "cell": coordinates}
    return Cell(**(content | changed))


FULL = cell(
    metrics=Metrics(acc=0.9, asr=0.1, rc=0.8, der=0.95),
    counts=Counts(clean=10, clean_hits=9, triggered=10, attack_hits=1, true_hits=8),
    baseline=Metrics(acc=0.9, asr=1.0, rc=0.0),
    detection={"auroc": 0.75, "flagged": True, "scores": [1.0, 2.0]},
    predictions=Predictions(file="predictions.pt", sha256="ab"),
    curves=(
        Curve(
            axis="threshold",
            points=(CurvePoint(value=0.1, units=3, acc=0.9, asr=None, rc=None),),
            chosen=0,
        ),
    ),
    operating_points=(
        OperatingPoint(name="p", value=0.1, units=3, validation_acc=0.8, acc=0.9, asr=0.2, rc=0.1),
    ),
    notes={"pruned": 3, "log": [{"loss": 0.1}]},
    cost=CellCost(defense_seconds=1.5, forward_samples=12),
    provenance={"argv": ["benchbd"]},
    flags=Flags(oracle=True),
)


@pytest.mark.parametrize(
    "original",
    [cell(), FULL, cell(status=Status(code="n/a", reason="no convolution", stage="defense"))],
)
def test_round_trip_through_json(original: Cell) -> None:
    text = json.dumps(original.to_json(), allow_nan=False)
    assert Cell.model_validate(json.loads(text)) == original
    assert Cell.model_validate(json.loads(text)).to_json() == original.to_json()


def test_the_names_of_the_stored_form() -> None:
    stored = FULL.to_json()
    assert stored["schema"] == 1
    assert {
        "key",
        "protocol",
        "status",
        "cell",
        "metrics",
        "counts",
        "baseline",
        "detection",
        "predictions",
    } < set(stored)
    assert stored["status"] == {
        "code": "ok",
        "reason": "",
        "stage": "",
        "error": "",
        "traceback": "",
    }
    assert stored["cell"]["attack"]["params"] == {"rate": 0.1, "colour": [1, 2, 3], "image": None}


def test_a_seal_notices_every_change() -> None:
    sealed = FULL.sealed()
    assert sealed.is_sealed()
    assert Cell.model_validate(json.loads(json.dumps(sealed.to_json()))).is_sealed()
    assert not FULL.is_sealed()
    better = Metrics(acc=0.91, asr=0.1, rc=0.8, der=0.95)
    assert not sealed.model_copy(update={"metrics": better}).is_sealed()
    assert not sealed.model_copy(update={"notes": {}}).is_sealed()


def test_unknown_names_and_codes_are_refused() -> None:
    with pytest.raises(ValidationError):
        cell(colour="red")
    with pytest.raises(ValidationError):
        Status(code="great")  # type: ignore[arg-type]


def test_a_cell_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        cell().key = "1"
