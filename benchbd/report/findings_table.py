"""The numbers of an analysis as a table: a row for each model, a column for each measure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchbd.record.stored_findings import StoredFindings

if TYPE_CHECKING:
    from rich.table import Table


def findings_table(findings: StoredFindings) -> Table | str:
    """Return the table, or the reason why there are no numbers."""
    from rich.table import Table

    name = findings.analysis.name
    if findings.not_applicable:
        return f"{name}: not applicable, {findings.not_applicable}"
    measures = dict.fromkeys(m for numbers in findings.numbers.values() for m in numbers)
    table = Table(title=name, title_justify="left", header_style="bold")
    table.add_column("model")
    for measure in measures:
        table.add_column(measure.replace("_", " "), justify="right")
    for model, numbers in findings.numbers.items():
        table.add_row(model, *(shown(numbers.get(measure)) for measure in measures))
    return table


def shown(value: float | None) -> str:
    """Return a number with three digits behind the point; a dash where there is none."""
    return "-" if value is None else f"{value:.3f}"
