"""The table of an analysis: a row for each model, dashes where there is no number."""

from __future__ import annotations

from benchbd.record.keys import SCHEMA
from benchbd.record.plugin_record import PluginRecord
from benchbd.record.stored_findings import StoredFindings
from benchbd.report.findings_table import findings_table
from benchbd.report.table import plain


def findings(**facts: object) -> StoredFindings:
    made = PluginRecord(name="tac", provider="here", version="1", results_version=1, params={})
    return StoredFindings(
        schema=SCHEMA,
        key="0" * 64,
        analysis=made,
        attack="1" * 64,
        defenses={},
        **facts,  # type: ignore[arg-type]
    )


def test_each_model_is_a_row_and_what_is_missing_a_dash() -> None:
    numbers = {"backdoored": {"share": 0.5}, "anp": {"share": 0.25, "left_over": 2.0}}
    text = plain(findings_table(findings(numbers=numbers)))
    rows = [line.split("│")[1:-1] for line in text.splitlines() if "│" in line]
    assert [[field.strip() for field in row] for row in rows] == [
        ["backdoored", "0.500", "-"],
        ["anp", "0.250", "2.000"],
    ]
    assert "left over" in text


def test_a_refusal_is_told_in_its_place() -> None:
    told = findings_table(findings(not_applicable="no image carries a trigger"))
    assert told == "tac: not applicable, no image carries a trigger"
